package system

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

type event struct {
	ID     string          `json:"id,omitempty"`
	Type   string          `json:"type"`
	Entity string          `json:"entity"`
	Data   json.RawMessage `json:"data"`
}

// Events publishes messages as events of one type, to whoever subscribed to it.
type Events struct {
	*Postdate

	Type  string
	Named bool // whether events have the messages' ids; the others get Postdate's
}

// Publish gives m the id that is answered.
func (e Events) Publish(ctx context.Context, m *rig.Message) error {
	in := event{Type: e.Type, Entity: m.Entity, Data: payload}
	if e.Named {
		in.ID = m.ID
	}
	var accepted struct{ ID string }
	if err := e.call(ctx, http.MethodPost, "/v1/events", in, http.StatusAccepted, &accepted); err != nil {
		return err
	}
	m.ID = accepted.ID
	return nil
}

// Batch is events that one request publishes.
type Batch []*rig.Message

func (b Batch) String() string { return fmt.Sprintf("%s and %d more", b[0], len(b)-1) }

// Batches divides messages into the largest batches that the API takes.
func Batches(messages []*rig.Message) []Batch {
	const size = 100
	batches := make([]Batch, 0, len(messages)/size+1)
	for batch := range slices.Chunk(messages, size) {
		batches = append(batches, batch)
	}
	return batches
}

// PublishBatch publishes b as events without ids, and gives its messages those that
// are answered.
func (e Events) PublishBatch(ctx context.Context, b Batch) error {
	var in struct {
		Events []event `json:"events"`
	}
	for _, m := range b {
		in.Events = append(in.Events, event{Type: e.Type, Entity: m.Entity, Data: payload})
	}
	var out struct {
		Data []struct {
			ID    string
			Error *struct{ Detail string }
		}
	}
	sent := time.Now()
	if err := e.call(ctx, http.MethodPost, "/v1/events/batch", in, http.StatusAccepted, &out); err != nil {
		return err
	}
	if len(out.Data) != len(b) {
		return fmt.Errorf("%d events were answered for %d", len(out.Data), len(b))
	}
	accepted := time.Now()
	for i, answer := range out.Data {
		if answer.Error != nil {
			return fmt.Errorf("the event %d was refused: %s", i, answer.Error.Detail)
		}
		b[i].ID, b[i].Sent, b[i].Accepted = answer.ID, sent, accepted
	}
	return nil
}
