package deliveries_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// queue puts n messages of that size in line, all at once, and answers how many
// wait in each line.
func (t *tenant) queue(endpoint string, n, size int) (lines map[string]int) {
	t.t.Helper()
	data, err := json.Marshal(strings.Repeat("x", size))
	require.NoError(t.t, err)
	lines = map[string]int{}
	var all sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		all.Go(func() {
			found, err := t.Enqueue(t.t.Context(), []protocol.EnqueueRequest{t.queued(endpoint, fmt.Sprintf("e%d", i), data)})
			if err != nil {
				found = []string{err.Error()}
			}
			mu.Lock()
			defer mu.Unlock()
			lines[found[0]]++
		})
	}
	all.Wait()
	return lines
}

func (t *tenant) queued(endpoint, id string, data json.RawMessage) protocol.EnqueueRequest {
	return protocol.EnqueueRequest{Tenant: t.name, Endpoint: endpoint, Entry: protocol.QueueEntry{
		DeliveryID: postdate.DeliveryID(id, endpoint), At: time.Now().UTC(),
		Message: &postdate.Message{ID: id, Tenant: t.name, Type: "t", Entity: "customer_42", Data: data},
	}}
}

// lineInput is what a line was started with.
func (t *tenant) lineInput(endpoint, id string) (in protocol.LineInput) {
	t.t.Helper()
	events := temporal.GetWorkflowHistory(t.t.Context(), protocol.LineID(t.name, endpoint, id), "", false,
		enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	started, err := events.Next()
	require.NoError(t.t, err)
	require.NoError(t.t, encoded.FromPayloads(started.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in))
	return in
}

func TestQueue_ThoseThatComeTogetherShareALine(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	endpoint := a.endpoint("t", answering(http.StatusOK))
	lines := a.queue(endpoint, 20, 10)
	require.Len(t, lines, 1)
	for id, waiting := range lines {
		require.Equal(t, 20, waiting)
		in := a.lineInput(endpoint, id)
		require.Len(t, in.Entries, 20)
		require.NotEmpty(t, in.Entries[0].Key)
	}
}

func TestQueue_StartsAnotherLineWhereOneIsFull(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	endpoint := a.endpoint("t", answering(http.StatusOK))
	for id, waiting := range a.queue(endpoint, protocol.MaxLine+20, 10) {
		require.Len(t, a.lineInput(endpoint, id).Entries, waiting)
		require.LessOrEqual(t, waiting, protocol.MaxLine)
	}
}

func TestQueue_BoundsTheBytesOfALine(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	endpoint := a.endpoint("t", answering(http.StatusOK))
	lines := a.queue(endpoint, 4, 200<<10)
	require.Len(t, lines, 2, "two of that size fit into one")
}

func TestQueue_DeliveriesOfAnotherEndpointHaveAnotherLine(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	one, two := a.endpoint("t", answering(http.StatusOK)), a.endpoint("t", answering(http.StatusOK))
	var first, second map[string]int
	var both sync.WaitGroup
	both.Go(func() { first = a.queue(one, 1, 10) })
	both.Go(func() { second = a.queue(two, 1, 10) })
	both.Wait()
	for id := range first {
		require.NotContains(t, second, id)
	}
}

func TestQueue_WhoAsksAgainStaysInALineThatStillRuns(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	hold := make(chan struct{})
	endpoint := a.endpoint("t", func(context.Context, postdate.Message) postdate.Attempt {
		<-hold
		return attempt(http.StatusOK)
	})
	q := a.queued(endpoint, "e1", json.RawMessage(`1`))
	line, err := a.Enqueue(t.Context(), []protocol.EnqueueRequest{q})
	require.NoError(t, err)
	q.Line = line[0]
	again, err := a.Enqueue(t.Context(), []protocol.EnqueueRequest{q})
	require.NoError(t, err)
	require.Equal(t, line, again)

	close(hold)
	require.NoError(t, temporal.GetWorkflow(t.Context(), protocol.LineID(a.name, endpoint, line[0]), "").Get(t.Context(), nil))
	another, err := a.Enqueue(t.Context(), []protocol.EnqueueRequest{q})
	require.NoError(t, err)
	require.NotEqual(t, line, another)
}
