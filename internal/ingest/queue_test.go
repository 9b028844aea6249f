package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/protocol"
)

// enqueue enqueues n messages of that size at once, and counts those in each line.
func enqueue(a *deliverytest.Tenant, endpoint string, n, size int) (lines map[string]int) {
	a.T.Helper()
	data, err := json.Marshal(strings.Repeat("x", size))
	require.NoError(a.T, err)
	lines = map[string]int{}
	var enqueuing sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		enqueuing.Go(func() {
			found, err := a.Enqueue(a.T.Context(), []protocol.EnqueueRequest{a.EnqueueRequest(endpoint, fmt.Sprintf("e%d", i), data)})
			if err != nil {
				found = []string{err.Error()}
			}
			mu.Lock()
			defer mu.Unlock()
			lines[found[0]]++
		})
	}
	enqueuing.Wait()
	return lines
}

// lineInput is what a line was started with.
func lineInput(a *deliverytest.Tenant, endpoint, id string) (in protocol.LineInput) {
	a.T.Helper()
	events := deliverytest.Temporal.GetWorkflowHistory(a.T.Context(), protocol.LineID(a.Name, endpoint, id), "", false,
		enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	started, err := events.Next()
	require.NoError(a.T, err)
	require.NoError(a.T, deliverytest.Converter.FromPayloads(started.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in))
	return in
}

func TestEnqueue_PutsWhatComesTogetherInOneLine(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("t", deliverytest.Answering(http.StatusOK))
	lines := enqueue(a, endpoint, 20, 10)
	require.Len(t, lines, 1)
	for id, waiting := range lines {
		require.Equal(t, 20, waiting)
		in := lineInput(a, endpoint, id)
		require.Len(t, in.Entries, 20)
		require.NotEmpty(t, in.Entries[0].Key)
	}
}

func TestEnqueue_StartsAnotherLineWhereOneIsFull(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("t", deliverytest.Answering(http.StatusOK))
	for id, waiting := range enqueue(a, endpoint, protocol.MaxLine+20, 10) {
		require.Len(t, lineInput(a, endpoint, id).Entries, waiting)
		require.LessOrEqual(t, waiting, protocol.MaxLine)
	}
}

func TestEnqueue_BoundsTheBytesOfALine(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("t", deliverytest.Answering(http.StatusOK))
	lines := enqueue(a, endpoint, 4, 200<<10)
	require.Len(t, lines, 2, "two of that size fit into one")
}

func TestEnqueue_KeepsEndpointsApart(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	one, two := a.Endpoint("t", deliverytest.Answering(http.StatusOK)), a.Endpoint("t", deliverytest.Answering(http.StatusOK))
	var first, second map[string]int
	var both sync.WaitGroup
	both.Go(func() { first = enqueue(a, one, 1, 10) })
	both.Go(func() { second = enqueue(a, two, 1, 10) })
	both.Wait()
	for id := range first {
		require.NotContains(t, second, id)
	}
}

func TestEnqueue_RepeatedKeepsALineThatStillRuns(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	hold := make(chan struct{})
	endpoint := a.Endpoint("t", func(context.Context, postdate.Message) postdate.Attempt {
		<-hold
		return deliverytest.Attempt(http.StatusOK)
	})
	request := a.EnqueueRequest(endpoint, "e1", json.RawMessage(`1`))
	line, err := a.Enqueue(t.Context(), []protocol.EnqueueRequest{request})
	require.NoError(t, err)
	request.Line = line[0]
	again, err := a.Enqueue(t.Context(), []protocol.EnqueueRequest{request})
	require.NoError(t, err)
	require.Equal(t, line, again)

	close(hold)
	require.NoError(t, deliverytest.Temporal.GetWorkflow(t.Context(), protocol.LineID(a.Name, endpoint, line[0]), "").Get(t.Context(), nil))
	another, err := a.Enqueue(t.Context(), []protocol.EnqueueRequest{request})
	require.NoError(t, err)
	require.NotEqual(t, line, another)
}
