package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// The names under which Postdate knows a broker's two topics.
const (
	streamIn  = "-in"
	streamOut = "-out"
)

// Stream is a broker as Postdate knows it.
type Stream struct {
	rig.Broker

	Name string // nats or kafka
}

// SetStreams tells p of the brokers, from its next start on. Their records are the default
// tenant's. share is that of what is consumed.
func (p *Postdate) SetStreams(share bool, all ...Stream) {
	configs := make([]map[string]any, 0, 2*len(all))
	for _, s := range all {
		in := map[string]any{"name": s.Name + streamIn, "url": s.Name + "://" + s.Address()}
		out := map[string]any{"name": s.Name + streamOut, "url": s.Name + "://" + s.Address(), "tenants": []string{"*"}}
		consume := map[string]any{"tenant": "default", "share": share}
		if s.Name == "nats" {
			in["stream"], consume["consumer"] = rig.TopicIn, rig.Group
			out["stream"], out["subject"] = rig.TopicOut, rig.TopicOut
		} else {
			in["topic"], consume["group"] = rig.TopicIn, rig.Group
			out["topic"] = rig.TopicOut
		}
		in["consume"] = consume
		configs = append(configs, in, out)
	}
	text, _ := json.Marshal(configs) //nolint:errchkjson // it can always be encoded
	p.env = append(p.env, "POSTDATE_STREAMS="+string(text))
}

// StreamState is how it goes with a stream from which records are taken.
type StreamState struct {
	State    string
	Accepted int
}

// Reading waits until records are taken from all streams of these brokers.
func (p *Postdate) Reading(ctx context.Context, all ...Stream) error {
	for _, s := range all {
		for {
			state, err := p.Taken(ctx, s)
			if err != nil {
				return err
			}
			if state.State == "reading" {
				break
			}
			if err := rig.Sleep(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// Taken is how many records were taken from a broker since the start.
func (p *Postdate) Taken(ctx context.Context, s Stream) (StreamState, error) {
	var list struct {
		Data []struct {
			Name        string
			Consumption StreamState
		}
	}
	if err := p.call(ctx, http.MethodGet, "/v1/streams", nil, http.StatusOK, &list); err != nil {
		return StreamState{}, err
	}
	for _, each := range list.Data {
		if each.Name == s.Name+streamIn {
			return each.Consumption, nil
		}
	}
	return StreamState{}, fmt.Errorf("postdate knows no stream %s", s.Name+streamIn)
}

// SubscribeStream has events of a type published to a broker.
func (p *Postdate) SubscribeStream(ctx context.Context, s Stream, eventType string) error {
	_, err := p.Register(ctx, map[string]any{"stream": s.Name + streamOut, "event_types": []string{eventType}})
	return err
}

// dataOf are the data of a message that is known by them: those of all others, with its id.
func dataOf(m *rig.Message) []byte {
	return bytes.Replace(payload, []byte("pr_123"), []byte(m.ID), 1)
}

// NameIn is the id in the data of a message, which stand in the body of a request.
func NameIn(body []byte) string {
	_, rest, _ := strings.Cut(string(body), `"payment_request":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// Record is an event, for a broker, in Postdate's own form: one without an id.
func (e Events) Record(m *rig.Message) rig.Record {
	return document(event{Type: e.Type, Entity: m.Entity, Data: dataOf(m)})
}

// ScheduleRecord is a schedule without an id, in Postdate's own form, that goes to the broker.
func (s Stream) ScheduleRecord(m *rig.Message) rig.Record {
	return document(struct {
		Type   string            `json:"type"`
		Entity string            `json:"entity"`
		DueAt  time.Time         `json:"due_at"`
		To     map[string]string `json:"to"`
		Data   json.RawMessage   `json:"data"`
	}{"payment_request.due", m.Entity, m.Due.UTC(), map[string]string{"stream": s.Name + streamOut}, dataOf(m)})
}

func document(v any) rig.Record {
	body, _ := json.Marshal(v) //nolint:errchkjson // it can always be encoded
	return rig.Record{Body: body}
}

// CloudEvent is the same as a CloudEvent in binary mode, which has an id and, where the
// message is due later, the time when it is to be published.
func (e Events) CloudEvent(m *rig.Message, prefix string) rig.Record {
	r := rig.Record{
		Body: dataOf(m),
		Headers: map[string]string{
			prefix + "specversion": "1.0", prefix + "id": m.ID, prefix + "source": "/bench", prefix + "type": e.Type,
			prefix + "subject": m.Entity, "content-type": "application/json",
		},
	}
	if !m.Due.IsZero() {
		r.Headers["postdate-due-at"] = m.Due.UTC().Format(time.RFC3339Nano)
	}
	return r
}

// AttributePrefix begins the headers that are attributes of CloudEvents.
func (s Stream) AttributePrefix() string {
	if s.Name == "nats" {
		return "ce-"
	}
	return "ce_"
}
