package ingest_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

// inbox keeps what a receiver got.
type inbox struct {
	mu       sync.Mutex
	messages []postdate.Message
}

func (i *inbox) receive(_ context.Context, m postdate.Message) postdate.Attempt {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.messages = append(i.messages, m)
	return deliverytest.Attempt(http.StatusOK)
}

// ids waits for n messages, and returns their ids.
func (i *inbox) ids(t *testing.T, n int) []string {
	t.Helper()
	var ids []string
	eventually.True(t, func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		ids = nil
		for _, m := range i.messages {
			ids = append(ids, m.ID)
		}
		return len(ids) == n
	}, "%d messages wanted", n)
	slices.Sort(ids)
	return ids
}

//nolint:unparam // ids are the point of its tests
func cloudEvent(source, id, entity string) postdate.Event {
	return postdate.Event{ID: id, Type: "t", Entity: entity, CloudEvent: &postdate.CloudEvent{Source: source}}
}

func TestPublish_TakesOneIDFromTwoSourcesAsTwoEvents(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	var got inbox
	a.Endpoint("t", got.receive)
	published := a.PublishAll(cloudEvent("/a", "1", "x"), cloudEvent("/b", "1", "x"), cloudEvent("/a", "1", "x"))
	require.NotEqual(t, published[0].ID, published[1].ID)
	require.False(t, published[1].Duplicate)
	require.Equal(t, published[0].ID, published[2].ID)
	require.True(t, published[2].Duplicate)
	require.True(t, a.PublishAll(cloudEvent("/b", "1", "x"))[0].Duplicate)
	other, err := a.PublishBatch(t.Context(), ingest.Batch{Tenant: a.Name, Events: []postdate.Event{cloudEvent("/b", "1", "y")}})
	require.NoError(t, err)
	require.EqualError(t, other[0].Err, `"1" exists already, from a request with another body`)
	named := a.PublishAll(postdate.Event{ID: "1", Type: "t"})[0]
	require.Equal(t, "1", named.ID, "an event that is no CloudEvent is another one")

	want := []string{published[0].ID, published[1].ID, "1"}
	slices.Sort(want)
	require.Equal(t, want, got.ids(t, 3))
	for _, m := range got.messages {
		if m.CloudEvent != nil {
			require.Equal(t, "1", m.CloudEvent.ID, "it leaves as it came")
		}
	}
	event, err := a.GetEvent(t.Context(), a.Name, published[1].ID)
	require.NoError(t, err)
	require.Equal(t, "/b", event.Message.CloudEvent.Source)
	require.Equal(t, "1", cloudEvent("/a", "1", "x").ID)
}

// send accepts a schedule that is due now.
func send(a *deliverytest.Tenant, id string, to postdate.Destination) {
	a.T.Helper()
	now := time.Now()
	_, err := a.Start(a.T.Context(), protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{ID: id, Tenant: a.Name, Type: "t", Entity: "schedule", Timestamp: now}, To: to, DueAt: now,
		},
		Retry: postdate.Retry{MaxAttempts: 1}.WithDefaults(),
	}, protocol.Accepted{To: to, At: now})
	require.NoError(a.T, err)
}

// Receivers deduplicate by the id of a message: they are to get both.
func TestPublish_AnEventAndAScheduleOfItsIDAreTwoMessages(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	var got inbox
	a.Endpoint("t", got.receive)
	a.PublishAll(postdate.Event{ID: "y", Type: "t"})
	send(a, "y", postdate.Destination{})
	require.Equal(t, "published to 1 endpoints", a.Becomes("y", postdate.Delivered).Attempts.Last().Response)

	ids := got.ids(t, 2)
	require.Len(t, slices.Compact(slices.Clone(ids)), 2)
	require.Contains(t, ids, "y")
	event, err := a.GetEvent(t.Context(), a.Name, "y")
	require.NoError(t, err)
	require.Empty(t, event.Message.Entity, "an event comes before a schedule of its id")
}

func TestPublish_ShowsTheEventOfAScheduleByTheSchedulesID(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("t", deliverytest.Answering(http.StatusOK))
	send(a, "x", postdate.Destination{})
	a.Becomes("x", postdate.Delivered)
	event, err := a.GetEvent(t.Context(), a.Name, "x")
	require.NoError(t, err)
	require.Equal(t, "schedule", event.Message.Entity)
	a.Becomes(postdate.DeliveryID(event.Message.ID, endpoint), postdate.Delivered)
}
