package ingest_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
)

// Data that no decoder takes, however it got in, is delivered as it is, and so are the
// other events of its group: in the group itself, in a line, and by executions of their
// own after a failure.
func TestBatch_NoDataBreaksWhatCarriesItOrItsNeighbours(t *testing.T) {
	t.Parallel()
	undecodable := map[string]string{
		"fine":    `{"n":1}`,
		"deep":    strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000),
		"no JSON": "\xff{]\x00♡'",
		"markup":  `"<&>"`,
	}
	first, slow := occupied(t)
	received := make(map[string]map[string]string) // by endpoint and entity
	var mu sync.Mutex
	receive := func(name string, answer deliverytest.Receiver) deliverytest.Receiver {
		received[name] = make(map[string]string)
		return func(ctx context.Context, m postdate.Message) postdate.Attempt {
			attempt := answer(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			if attempt.Outcome == postdate.Accepted {
				received[name][m.Entity] = string(m.Data)
			}
			return attempt
		}
	}
	failing, mend := deliverytest.Mendable()
	first.Endpoint("t", receive("group", deliverytest.Answering(http.StatusOK)))
	broken := first.Endpoint("t", receive("own", failing))
	queued := first.Endpoint("t", receive("line", deliverytest.Answering(http.StatusOK)))
	permits := first.Limit(queued)

	a := &callers{Tenant: first.Tenant}
	for entity, data := range undecodable {
		a.batch(t.Context(), postdate.Event{Type: "t", Entity: entity, Data: []byte(data)})
	}
	close(slow.proceed)
	first.wait()
	published := a.wait()
	require.Len(t, groups(t, published), 1)
	for range undecodable {
		permits.Dequeued <- struct{}{}
	}
	for _, p := range published {
		require.NoError(t, p.Err)
		for _, d := range p.Deliveries {
			want := postdate.Delivered
			if d.Endpoint == broken {
				want = postdate.Dead
			}
			delivery := a.Becomes(d.ID, want)
			require.Equal(t, undecodable[delivery.Message.Entity], string(delivery.Message.Data))
		}
	}
	mend()
	for _, p := range published {
		id := postdate.DeliveryID(p.ID, broken)
		require.NoError(t, a.RetryDelivery(t.Context(), a.Name, id))
		a.Becomes(id, postdate.Delivered)
	}
	a.Listed(3*len(undecodable), postdate.Filter{State: postdate.Delivered})
	mu.Lock()
	defer mu.Unlock()
	for name, got := range received {
		require.True(t, maps.Equal(undecodable, got), name)
	}
}
