package deliveries_test

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
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/ingest"
)

// slowEngine keeps starts back until it is let go, and then does not take those
// of which it has an error.
type slowEngine struct {
	client.Client
	begun chan string // workflow ids
	let   chan error
}

func (e *slowEngine) ExecuteWorkflow(
	ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any,
) (client.WorkflowRun, error) {
	e.begun <- options.ID
	if err := <-e.let; err != nil {
		return nil, err
	}
	return e.Client.ExecuteWorkflow(ctx, options, workflow, args...)
}

// sweepFake is callers who publish side by side.
type callers struct {
	*tenant
	callers sync.WaitGroup
	mu      sync.Mutex
	got     []ingest.Published
	batches [][]ingest.Published
}

// publishes has one more caller publish events.
func (c *callers) publishes(ctx context.Context, events ...postdate.Event) {
	c.callers.Go(func() {
		published, err := c.PublishBatch(ctx, ingest.Batch{Tenant: c.name, Events: events, TraceParent: traceOf(events[0])})
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			published = []ingest.Published{{Err: err}}
		}
		c.got = append(c.got, published...)
		c.batches = append(c.batches, published)
	})
}

// all waits for every answer.
func (c *callers) all() []ingest.Published {
	c.callers.Wait()
	return c.got
}

// occupied has a start on its way, with one event in it.
func occupied(t *testing.T) (*callers, *slowEngine) {
	t.Helper()
	slow := &slowEngine{Client: temporal, begun: make(chan string, 1000), let: make(chan error)}
	a := newTenantOn(slow, 0)
	a.t = t
	first := &callers{tenant: a}
	first.publishes(t.Context(), postdate.Event{Type: "first"})
	<-slow.begun
	return first, slow
}

// gathers has one more caller of those who wait.
func (c *callers) gathers(ctx context.Context, events ...postdate.Event) {
	c.t.Helper()
	wanted := c.Waiting(c.name)
	for _, e := range events {
		if e.ID == "" {
			wanted++
		}
	}
	c.publishes(ctx, events...)
	eventually.True(c.t, func() bool { return c.Waiting(c.name) == wanted }, 10*time.Second, time.Millisecond)
}

func traceOf(e postdate.Event) string { return "trace of " + e.Entity }

func numbered(n int) postdate.Event {
	return postdate.Event{Type: "t", Entity: "e" + strconv.Itoa(n), Data: json.RawMessage(strconv.Itoa(n))}
}

// groups are the different executions in which events were accepted.
func groups(t *testing.T, published []ingest.Published) map[string]int {
	t.Helper()
	all := make(map[string]int)
	for _, p := range published {
		group, _, ok := postdate.SplitGroupedID(p.ID)
		require.True(t, ok, p.ID)
		all[group]++
	}
	return all
}

func TestGather_DeliversWhatManyPublishOnceEach(t *testing.T) {
	t.Parallel()
	const many = 200
	a := &callers{tenant: newTenant(t)}
	var mu sync.Mutex
	got := make(map[string]int) // by delivery
	var wrong []postdate.Message
	for _, name := range []string{"one", "two"} {
		a.endpoint("*", func(_ context.Context, m postdate.Message) postdate.Attempt {
			mu.Lock()
			defer mu.Unlock()
			got[m.ID+" "+name]++
			if m.Entity != "e"+string(m.Data) || m.TraceParent != "trace of "+m.Entity || time.Since(m.Timestamp) > time.Minute {
				wrong = append(wrong, m)
			}
			return attempt(http.StatusOK)
		})
	}
	for i := range many {
		a.publishes(t.Context(), numbered(i))
	}
	published := a.all()
	require.Len(t, published, many)
	executions := groups(t, published)
	require.LessOrEqual(t, len(executions), many/4) // 40 fit into one
	for _, p := range published {
		require.NoError(t, p.Err)
		require.False(t, p.Duplicate)
		require.Len(t, p.Deliveries, 2)
		for _, d := range p.Deliveries {
			seen := a.becomes(d.ID, postdate.Delivered)
			require.Equal(t, p.ID, seen.Message.ID)
		}
		seen, err := a.GetEvent(t.Context(), a.name, p.ID)
		require.NoError(t, err)
		require.Equal(t, "e"+string(seen.Message.Data), seen.Message.Entity)
		require.False(t, seen.At.Before(seen.Message.Timestamp))
	}
	eventually.True(t, a.Idle, 10*time.Second, time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, wrong)
	require.Len(t, got, 2*many)
	for delivery, times := range got {
		require.Equal(t, 1, times, delivery)
	}
}

func TestGather_LeavesAtOnceWhereNothingIsOnItsWay(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	var published []ingest.Published
	for range 5 {
		published = append(published, a.publish(postdate.Event{Type: "t"})...)
	}
	require.Len(t, groups(t, published), 5)
	for _, p := range published {
		_, place, _ := postdate.SplitGroupedID(p.ID)
		require.Zero(t, place)
	}
}

func TestGather_KeepsTenantsApart(t *testing.T) {
	t.Parallel()
	one := &callers{tenant: newTenant(t)}
	other := &callers{tenant: newTenant(t)}
	other.Ingester, other.Store = one.Ingester, one.Store
	for i := range 100 {
		one.publishes(t.Context(), numbered(i))
		other.publishes(t.Context(), numbered(i))
	}
	mine := groups(t, one.all())
	for group := range groups(t, other.all()) {
		require.NotContains(t, mine, group)
	}
	for _, p := range one.all() {
		_, err := one.GetEvent(t.Context(), one.name, p.ID)
		require.NoError(t, err)
		_, err = other.GetEvent(t.Context(), other.name, p.ID)
		require.Equal(t, postdate.NotFound, postdate.CodeOf(err))
	}
}

// What gathers while a start is on its way leaves in one, and what a batch
// holds stays in its order.
func TestGather_CarriesInOneExecutionWhatCameMeanwhile(t *testing.T) {
	t.Parallel()
	first, slow := occupied(t)
	then := &callers{tenant: first.tenant}
	gone, leave := context.WithCancel(t.Context())
	then.gathers(gone, numbered(0))
	leave() // its caller does not wait for the answer any more
	then.gathers(t.Context(), numbered(1), numbered(2), postdate.Event{ID: "named", Type: "t"}, numbered(3))
	then.gathers(t.Context(), numbered(4))
	close(slow.let)

	first.all()
	var unnamed []ingest.Published
	for _, p := range then.all() {
		require.NoError(t, p.Err)
		seen, err := then.GetEvent(t.Context(), then.name, p.ID)
		require.NoError(t, err)
		if p.ID == "named" {
			continue
		}
		_, place, _ := postdate.SplitGroupedID(p.ID)
		require.Equal(t, strconv.Itoa(place), string(seen.Message.Data))
		unnamed = append(unnamed, p)
	}
	require.Len(t, unnamed, 5)
	require.Len(t, groups(t, unnamed), 1)
}

func TestGather_TellsAllWhoseStartFailed(t *testing.T) {
	t.Parallel()
	first, slow := occupied(t)
	then := &callers{tenant: first.tenant}
	for i := range 10 {
		then.gathers(t.Context(), numbered(i))
	}
	slow.let <- nil // and so the next one leaves
	next := <-slow.begun
	for _, p := range first.all() {
		require.NoError(t, p.Err)
	}
	broken := errors.New("the engine is on fire")
	slow.let <- broken
	for _, p := range then.all() {
		require.ErrorIs(t, p.Err, broken)
		require.True(t, strings.HasPrefix(p.ID, "evt_"+next[strings.LastIndex(next, "/")+1:]), p.ID)
	}
	require.Len(t, then.got, 10)

	close(slow.let)
	then.publish(numbered(10))
}

// A group needs no further executions: neither are there too many deliveries in
// it, nor are its lists or its data too long.
func TestGather_EndsAGroupInTime(t *testing.T) {
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
			return postdate.Event{Type: "t", Data: json.RawMessage(`"` + strings.Repeat("<", 25<<10) + `"`)}
		}, 4}, // 150 KiB each, as they are written
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, slow := occupied(t)
			for range test.endpoints {
				first.endpoint("t", answering(http.StatusOK))
			}
			then := &callers{tenant: first.tenant}
			for n := range test.events {
				then.gathers(t.Context(), test.event(n))
			}
			close(slow.let)
			first.all()
			executions := groups(t, then.all())
			require.Len(t, executions, test.groups)
			for _, p := range then.got {
				require.NoError(t, p.Err)
				for _, d := range p.Deliveries {
					then.becomes(d.ID, postdate.Delivered)
				}
			}
			for group := range executions {
				further, err := temporal.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
					Query: fmt.Sprintf("WorkflowId STARTS_WITH 'events/%s/%s/'", then.name, group),
				})
				require.NoError(t, err)
				require.Zero(t, further.GetCount())
			}
		})
	}
}

// One request may be more than a group is to be: then it is carried by as few as
// can be, which carry others too.
func TestGather_SharesOutARequest(t *testing.T) {
	t.Parallel()
	first, slow := occupied(t)
	for range 3 {
		first.endpoint("t", answering(http.StatusOK))
	}
	var events []postdate.Event
	for n := range 40 {
		events = append(events, numbered(n))
	}
	then := &callers{tenant: first.tenant}
	then.gathers(t.Context(), numbered(0))
	then.gathers(t.Context(), events...)
	then.gathers(t.Context(), numbered(0))
	close(slow.let)
	first.all()
	sizes := slices.Collect(maps.Values(groups(t, then.all())))
	require.ElementsMatch(t, []int{26, 16}, sizes, "of 42 events with 3 deliveries each")
	for _, batch := range then.batches {
		for i, p := range batch {
			seen, err := then.GetEvent(t.Context(), then.name, p.ID)
			require.NoError(t, err)
			require.Equal(t, "e"+strconv.Itoa(i), seen.Message.Entity)
			for _, d := range p.Deliveries {
				then.becomes(d.ID, postdate.Delivered)
			}
		}
	}
}

// What happens to one of them happens to no other.
func TestGather_MembersAreTheirOwn(t *testing.T) {
	t.Parallel()
	first, slow := occupied(t)
	fine := first.endpoint("t", answering(http.StatusOK))
	late := first.endpoint("t", failing("e1", answering(http.StatusBadGateway)))
	world.mu.Lock()
	world.tenants[first.name].Endpoints[1].Retry = &postdate.Retry{MaxAttempts: 2, Initial: postdate.Duration(time.Hour)}
	world.mu.Unlock()
	answer, mend := mendable()
	broken := first.endpoint("t", failing("e2", answer))
	a := &callers{tenant: first.tenant}
	for n := range 4 {
		a.gathers(t.Context(), numbered(n))
	}
	close(slow.let)
	first.all()
	members := make(map[int]string)
	for _, p := range a.all() {
		_, place, _ := postdate.SplitGroupedID(p.ID)
		members[place] = p.ID
	}
	require.Len(t, groups(t, a.got), 1)

	cancelled, dead := members[1]+"."+late, members[2]+"."+broken
	require.Len(t, a.becomes(cancelled, postdate.Retrying).Attempts, 1)
	require.NoError(t, a.CancelDelivery(t.Context(), a.name, cancelled))
	a.becomes(cancelled, postdate.Cancelled)
	require.Len(t, a.becomes(dead, postdate.Dead).Attempts, 2)
	for _, id := range members {
		a.becomes(id+"."+fine, postdate.Delivered)
		require.Equal(t, postdate.Conflict, postdate.CodeOf(a.CancelDelivery(t.Context(), a.name, id+"."+fine)))
	}
	a.listed(10, postdate.Filter{State: postdate.Delivered})
	require.Equal(t, cancelled, a.listed(1, postdate.Filter{State: postdate.Cancelled})[0].ID)
	require.Equal(t, dead, a.listed(1, postdate.Filter{State: postdate.Dead, Entity: "e2"})[0].ID)
	a.listed(3, postdate.Filter{Entity: "e1"})

	mend()
	require.NoError(t, a.RetryDelivery(t.Context(), a.name, dead))
	require.Len(t, a.becomes(dead, postdate.Delivered).Attempts, 3)
	a.listed(11, postdate.Filter{State: postdate.Delivered})
	for place, id := range members {
		seen, err := a.GetEvent(t.Context(), a.name, id)
		require.NoError(t, err)
		require.Equal(t, "e"+strconv.Itoa(place), seen.Message.Entity)
		for _, d := range seen.Deliveries {
			want := postdate.Delivered
			if d.ID == cancelled {
				want = postdate.Cancelled
			}
			require.Equal(t, want, d.State, d.ID)
		}
	}
}

// failing accepts everything but what is of entity.
func failing(entity string, answer receiver) receiver {
	return func(ctx context.Context, m postdate.Message) postdate.Attempt {
		if m.Entity == entity {
			return answer(ctx, m)
		}
		return attempt(http.StatusOK)
	}
}
