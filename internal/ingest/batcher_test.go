package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/ingest"
)

// slowTemporal holds starts back until the test lets them through, or fails them.
type slowTemporal struct {
	client.Client
	begun   chan string // workflow ids
	proceed chan error
}

func (s *slowTemporal) ExecuteWorkflow(
	ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any,
) (client.WorkflowRun, error) {
	s.begun <- options.ID
	if err := <-s.proceed; err != nil {
		return nil, err
	}
	return s.Client.ExecuteWorkflow(ctx, options, workflow, args...)
}

// callers publish side by side.
type callers struct {
	*deliverytest.Tenant
	pending sync.WaitGroup

	mu        sync.Mutex
	published []ingest.Published
	batches   [][]ingest.Published
}

// start publishes events as one more caller.
func (c *callers) start(ctx context.Context, events ...postdate.Event) {
	c.pending.Go(func() {
		published, err := c.PublishBatch(ctx, ingest.Batch{Tenant: c.Name, Events: events, TraceParent: traceOf(events[0])})
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			published = []ingest.Published{{Err: err}}
		}
		c.published = append(c.published, published...)
		c.batches = append(c.batches, published)
	})
}

// wait waits for all results.
func (c *callers) wait() []ingest.Published {
	c.pending.Wait()
	return c.published
}

// occupied returns callers one of whose events is in a start that is held back.
func occupied(t *testing.T) (*callers, *slowTemporal) {
	t.Helper()
	slow := &slowTemporal{Client: deliverytest.Temporal, begun: make(chan string, 1000), proceed: make(chan error)}
	first := &callers{Tenant: deliverytest.NewWith(t, deliverytest.Options{Client: slow})}
	first.start(t.Context(), postdate.Event{Type: "first"})
	<-slow.begun
	return first, slow
}

// batch publishes events as one more caller, and waits until they wait for the next start.
func (c *callers) batch(ctx context.Context, events ...postdate.Event) {
	c.T.Helper()
	wanted := c.Waiting(c.Name)
	for _, e := range events {
		if e.ID == "" {
			wanted++
		}
	}
	c.start(ctx, events...)
	eventually.True(c.T, func() bool { return c.Waiting(c.Name) == wanted })
}

func traceOf(e postdate.Event) string { return "trace of " + e.Entity }

func numbered(n int) postdate.Event {
	return postdate.Event{Type: "t", Entity: "e" + strconv.Itoa(n), Data: json.RawMessage(strconv.Itoa(n))}
}

// groups counts the events in each execution that accepted some.
func groups(t *testing.T, published []ingest.Published) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, p := range published {
		group, _, ok := postdate.SplitGroupedID(p.ID)
		require.True(t, ok, p.ID)
		counts[group]++
	}
	return counts
}

func TestBatch_DeliversEachEventOfManyCallersOnce(t *testing.T) {
	t.Parallel()
	const many = 200
	a := &callers{Tenant: deliverytest.New(t)}
	var mu sync.Mutex
	got := make(map[string]int) // by delivery
	var wrong []postdate.Message
	for _, name := range []string{"one", "two"} {
		a.Endpoint("*", func(_ context.Context, m postdate.Message) postdate.Attempt {
			mu.Lock()
			defer mu.Unlock()
			got[m.ID+" "+name]++
			if m.Entity != "e"+string(m.Data) || m.TraceParent != "trace of "+m.Entity || time.Since(m.Timestamp) > time.Minute {
				wrong = append(wrong, m)
			}
			return deliverytest.Attempt(http.StatusOK)
		})
	}
	for i := range many {
		a.start(t.Context(), numbered(i))
	}
	published := a.wait()
	require.Len(t, published, many)
	executions := groups(t, published)
	require.LessOrEqual(t, len(executions), many/4) // 40 fit into one
	for _, p := range published {
		require.NoError(t, p.Err)
		require.False(t, p.Duplicate)
		require.Len(t, p.Deliveries, 2)
		for _, d := range p.Deliveries {
			found := a.Becomes(d.ID, postdate.Delivered)
			require.Equal(t, p.ID, found.Message.ID)
		}
		found, err := a.GetEvent(t.Context(), a.Name, p.ID)
		require.NoError(t, err)
		require.Equal(t, "e"+string(found.Message.Data), found.Message.Entity)
		require.False(t, found.At.Before(found.Message.Timestamp))
	}
	eventually.True(t, a.Idle)
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, wrong)
	require.Len(t, got, 2*many)
	for delivery, times := range got {
		require.Equal(t, 1, times, delivery)
	}
}

func TestBatch_StartsAtOnceWhereNoStartIsOnItsWay(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	var published []ingest.Published
	for range 5 {
		published = append(published, a.PublishAll(postdate.Event{Type: "t"})...)
	}
	require.Len(t, groups(t, published), 5)
	for _, p := range published {
		_, place, _ := postdate.SplitGroupedID(p.ID)
		require.Zero(t, place)
	}
}

func TestBatch_KeepsTenantsApart(t *testing.T) {
	t.Parallel()
	one := &callers{Tenant: deliverytest.New(t)}
	other := &callers{Tenant: deliverytest.New(t)}
	other.Ingester, other.Store = one.Ingester, one.Store
	for i := range 100 {
		one.start(t.Context(), numbered(i))
		other.start(t.Context(), numbered(i))
	}
	mine := groups(t, one.wait())
	for group := range groups(t, other.wait()) {
		require.NotContains(t, mine, group)
	}
	for _, p := range one.wait() {
		_, err := one.GetEvent(t.Context(), one.Name, p.ID)
		require.NoError(t, err)
		_, err = other.GetEvent(t.Context(), other.Name, p.ID)
		require.Equal(t, postdate.NotFound, postdate.CodeOf(err))
	}
}

// What is published during a start shares the next one, and a request keeps its order.
func TestBatch_CarriesInOneExecutionWhatCameDuringAStart(t *testing.T) {
	t.Parallel()
	first, slow := occupied(t)
	then := &callers{Tenant: first.Tenant}
	gone, leave := context.WithCancel(t.Context())
	then.batch(gone, numbered(0))
	leave() // its caller does not wait for the answer any more
	then.batch(t.Context(), numbered(1), numbered(2), postdate.Event{ID: "named", Type: "t"}, numbered(3))
	then.batch(t.Context(), numbered(4))
	close(slow.proceed)

	first.wait()
	var unnamed []ingest.Published
	for _, p := range then.wait() {
		require.NoError(t, p.Err)
		found, err := then.GetEvent(t.Context(), then.Name, p.ID)
		require.NoError(t, err)
		if p.ID == "named" {
			continue
		}
		_, place, _ := postdate.SplitGroupedID(p.ID)
		require.Equal(t, strconv.Itoa(place), string(found.Message.Data))
		unnamed = append(unnamed, p)
	}
	require.Len(t, unnamed, 5)
	require.Len(t, groups(t, unnamed), 1)
}

func TestBatch_ReturnsTheErrorOfAFailedStartToAllInIt(t *testing.T) {
	t.Parallel()
	first, slow := occupied(t)
	then := &callers{Tenant: first.Tenant}
	for i := range 10 {
		then.batch(t.Context(), numbered(i))
	}
	slow.proceed <- nil // and so the next one leaves
	next := <-slow.begun
	for _, p := range first.wait() {
		require.NoError(t, p.Err)
	}
	broken := errors.New("Temporal is on fire")
	slow.proceed <- broken
	for _, p := range then.wait() {
		require.ErrorIs(t, p.Err, broken)
		require.True(t, strings.HasPrefix(p.ID, "evt_"+next[strings.LastIndex(next, "/")+1:]), p.ID)
	}
	require.Len(t, then.published, 10)

	close(slow.proceed)
	then.PublishAll(numbered(10))
}

// A group needs no further executions: neither are there too many deliveries in
// it, nor are its lists or its data too long.
func TestBatch_EndsAGroupBeforeItIsTooLarge(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	for name, test := range map[string]struct {
		endpoints, events int
		event             func(n int) postdate.Event
		groups            int
	}{
		"events":     {0, 250, numbered, 3},
		"deliveries": {3, 60, numbered, 3}, // 26 events have 78
		"entities": {1, 60, func(n int) postdate.Event {
			return postdate.Event{Type: "t", Entity: fmt.Sprint(long, n)}
		}, 4}, // 2000 bytes of them
		"data": {1, 12, func(int) postdate.Event {
			return postdate.Event{Type: "t", Data: json.RawMessage(`"` + strings.Repeat("<", 110<<10) + `"`)}
		}, 4}, // 147 KiB each, as they are recorded
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, slow := occupied(t)
			for range test.endpoints {
				first.Endpoint("t", deliverytest.Answering(http.StatusOK))
			}
			then := &callers{Tenant: first.Tenant}
			for n := range test.events {
				then.batch(t.Context(), test.event(n))
			}
			close(slow.proceed)
			first.wait()
			executions := groups(t, then.wait())
			require.Len(t, executions, test.groups)
			for _, p := range then.published {
				require.NoError(t, p.Err)
				for _, d := range p.Deliveries {
					then.Becomes(d.ID, postdate.Delivered)
				}
			}
			for group := range executions {
				further, err := deliverytest.Temporal.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
					Query: fmt.Sprintf("WorkflowId STARTS_WITH 'events/%s/%s/'", then.Name, group),
				})
				require.NoError(t, err)
				require.Zero(t, further.GetCount())
			}
		})
	}
}

// A request that is larger than a group is carried by as few executions as can be, which
// carry others too.
func TestBatch_SplitsALargeRequest(t *testing.T) {
	t.Parallel()
	first, slow := occupied(t)
	for range 3 {
		first.Endpoint("t", deliverytest.Answering(http.StatusOK))
	}
	var events []postdate.Event
	for n := range 40 {
		events = append(events, numbered(n))
	}
	then := &callers{Tenant: first.Tenant}
	then.batch(t.Context(), numbered(0))
	then.batch(t.Context(), events...)
	then.batch(t.Context(), numbered(0))
	close(slow.proceed)
	first.wait()
	sizes := slices.Collect(maps.Values(groups(t, then.wait())))
	require.ElementsMatch(t, []int{26, 16}, sizes, "of 42 events with 3 deliveries each")
	for _, batch := range then.batches {
		for i, p := range batch {
			found, err := then.GetEvent(t.Context(), then.Name, p.ID)
			require.NoError(t, err)
			require.Equal(t, "e"+strconv.Itoa(i), found.Message.Entity)
			for _, d := range p.Deliveries {
				then.Becomes(d.ID, postdate.Delivered)
			}
		}
	}
}

// What happens to one of them happens to no other.
func TestBatch_KeepsDeliveriesOfAGroupApart(t *testing.T) {
	t.Parallel()
	first, slow := occupied(t)
	fine := first.Endpoint("t", deliverytest.Answering(http.StatusOK))
	late := first.Endpoint("t", deliverytest.FailingFor("e1", deliverytest.Answering(http.StatusBadGateway)))
	first.Configure(func(tenant *postdate.Tenant) {
		tenant.Endpoints[1].Retry = &postdate.Retry{MaxAttempts: 2, Initial: postdate.Duration(time.Hour)}
	})
	answer, mend := deliverytest.Mendable()
	broken := first.Endpoint("t", deliverytest.FailingFor("e2", answer))
	a := &callers{Tenant: first.Tenant}
	for n := range 4 {
		a.batch(t.Context(), numbered(n))
	}
	close(slow.proceed)
	first.wait()
	members := make(map[int]string)
	for _, p := range a.wait() {
		_, place, _ := postdate.SplitGroupedID(p.ID)
		members[place] = p.ID
	}
	require.Len(t, groups(t, a.published), 1)

	cancelled, dead := members[1]+"."+late, members[2]+"."+broken
	require.Len(t, a.Becomes(cancelled, postdate.Retrying).Attempts, 1)
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, cancelled))
	a.Becomes(cancelled, postdate.Cancelled)
	require.Len(t, a.Becomes(dead, postdate.Dead).Attempts, 2)
	for _, id := range members {
		a.Becomes(id+"."+fine, postdate.Delivered)
		require.Equal(t, postdate.Conflict, postdate.CodeOf(a.CancelDelivery(t.Context(), a.Name, id+"."+fine)))
	}
	a.Listed(10, postdate.Filter{State: postdate.Delivered})
	require.Equal(t, cancelled, a.Listed(1, postdate.Filter{State: postdate.Cancelled})[0].ID)
	require.Equal(t, dead, a.Listed(1, postdate.Filter{State: postdate.Dead, Entity: "e2"})[0].ID)
	a.Listed(3, postdate.Filter{Entity: "e1"})

	mend()
	require.NoError(t, a.RetryDelivery(t.Context(), a.Name, dead))
	require.Len(t, a.Becomes(dead, postdate.Delivered).Attempts, 3)
	a.Listed(11, postdate.Filter{State: postdate.Delivered})
	for place, id := range members {
		found, err := a.GetEvent(t.Context(), a.Name, id)
		require.NoError(t, err)
		require.Equal(t, "e"+strconv.Itoa(place), found.Message.Entity)
		for _, d := range found.Deliveries {
			want := postdate.Delivered
			if d.ID == cancelled {
				want = postdate.Cancelled
			}
			require.Equal(t, want, d.State, d.ID)
		}
	}
}
