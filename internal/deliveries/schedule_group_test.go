package deliveries_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

// received is when each message arrived.
type received struct {
	mu sync.Mutex
	at map[string][]time.Time
}

// note is a receiver that notes what arrives, and answers as another.
func (r *received) note(answer deliverytest.Receiver) deliverytest.Receiver {
	return func(ctx context.Context, m postdate.Message) postdate.Attempt {
		r.mu.Lock()
		if r.at == nil {
			r.at = make(map[string][]time.Time)
		}
		r.at[m.ID] = append(r.at[m.ID], time.Now())
		r.mu.Unlock()
		return answer(ctx, m)
	}
}

func (r *received) of(id string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[id]
}

// together starts n unnamed schedules to an endpoint that share an execution.
func together(
	a *deliverytest.Tenant, endpoint string, due time.Time, n int, change ...func(n int, in *protocol.DeliverInput),
) []postdate.Delivery {
	a.T.Helper()
	now := time.Now().UTC()
	all := make([]ingest.Unnamed, n)
	for n := range all {
		in := protocol.DeliverInput{Retry: postdate.Retry{Schedule: []postdate.Duration{0}}}
		in.Shipment = protocol.DeliveryTask{
			Message: postdate.Message{ID: "made", Tenant: a.Name, Type: "t", Timestamp: due, Data: []byte("1")},
			To:      postdate.Destination{Endpoint: endpoint}, DueAt: due,
		}
		for _, each := range change {
			each(n, &in)
		}
		all[n] = ingest.Unnamed{Input: in, Accepted: protocol.Accepted{Digest: "d", To: in.Shipment.To, At: now}}
	}
	created := make([]postdate.Delivery, n)
	for n, result := range a.StartAllUnnamed(a.T.Context(), all) {
		require.NoError(a.T, result.Err)
		created[n] = result.Delivery
		require.Equal(a.T, created[0].Execution, created[n].Execution)
		require.True(a.T, strings.HasPrefix(created[n].Execution.WorkflowID, "schedules/"+a.Name+"/"))
	}
	return created
}

// nextSecond begins a second that is at least so far ahead.
func nextSecond(ahead time.Duration) time.Time {
	return time.Now().UTC().Add(ahead).Truncate(time.Second).Add(time.Second)
}

func record(a *deliverytest.Tenant, name string, d postdate.Delivery, run string) {
	a.T.Helper()
	historytest.Record(a.T, deliverytest.Temporal, "schedulegroup/"+name, d.Execution.WorkflowID, run)
}

func TestScheduleGroup_EachIsSentWhenItIsDue(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	var got received
	endpoint := a.Endpoint("*", got.note(deliverytest.Answering(http.StatusOK)))
	due := nextSecond(4 * time.Second) // it is read before
	all := together(a, endpoint, due, 12, func(n int, in *protocol.DeliverInput) {
		in.Shipment.DueAt = due.Add(time.Duration(n) * 80 * time.Millisecond)
		in.Shipment.Message.Timestamp = in.Shipment.DueAt
	})
	for n, created := range all {
		require.Equal(t, postdate.Scheduled, created.State)
		require.Equal(t, due.Add(time.Duration(n)*80*time.Millisecond), created.DueAt)
		read, err := a.Get(t.Context(), a.Name, created.ID)
		require.NoError(t, err)
		require.Equal(t, created, read)
	}
	require.Len(t, a.Listed(12, postdate.Filter{State: postdate.Scheduled, SchedulesOnly: true}), 12)
	a.Listed(12, postdate.Filter{Endpoint: endpoint})
	from, to := due.Add(time.Millisecond), due.Add(200*time.Millisecond)
	a.Listed(2, postdate.Filter{DueAfter: &from, DueBefore: &to})
	for _, created := range all {
		read := a.Becomes(created.ID, postdate.Delivered)
		require.Len(t, read.Attempts, 1)
		require.Equal(t, 1, read.Attempts[0].Number)
		require.False(t, read.EndedAt.IsZero())
		arrived := got.of(created.ID)
		require.Len(t, arrived, 1)
		require.False(t, arrived[0].Before(created.DueAt), "early by %s", created.DueAt.Sub(arrived[0]))
	}
	a.Listed(12, postdate.Filter{State: postdate.Delivered})
	a.Listed(0, postdate.Filter{State: postdate.Scheduled})
	require.Equal(t, postdate.Conflict, postdate.CodeOf(a.CancelDelivery(t.Context(), a.Name, all[0].ID)))
	record(a, "waits-within-the-second", all[0], "")
}

func TestScheduleGroup_AreCancelledOneByOne(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	var got received
	endpoint := a.Endpoint("*", got.note(deliverytest.Answering(http.StatusOK)))
	due := nextSecond(4 * time.Second)
	all := together(a, endpoint, due, 6)
	var group sync.WaitGroup
	for _, d := range all[:3] {
		group.Go(func() { require.NoError(t, a.CancelDelivery(t.Context(), a.Name, d.ID)) })
	}
	group.Wait()
	for _, d := range all[:3] {
		read, err := a.Get(t.Context(), a.Name, d.ID)
		require.NoError(t, err)
		require.Equal(t, postdate.Cancelled, read.State)
		require.True(t, read.EndedAt.Before(due))
		require.NoError(t, a.CancelDelivery(t.Context(), a.Name, d.ID), "again")
		require.Equal(t, postdate.Conflict, postdate.CodeOf(a.Update(t.Context(), a.Name, d.ID, protocol.UpdateFire)))
	}
	require.ElementsMatch(t, ids(all[:3]), deliverytest.IDs(a.Listed(3, postdate.Filter{State: postdate.Cancelled})))
	require.ElementsMatch(t, ids(all[3:]), deliverytest.IDs(a.Listed(3, postdate.Filter{State: postdate.Scheduled})))
	becomesNewRun(a, all[0])
	record(a, "cancelled", all[0], all[0].Execution.RunID)
	require.ElementsMatch(t, ids(all[3:]), deliverytest.IDs(a.Listed(3, postdate.Filter{State: postdate.Scheduled})))
	for _, d := range all[3:] {
		a.Becomes(d.ID, postdate.Delivered)
		require.False(t, got.of(d.ID)[0].Before(due))
	}
	for _, d := range all[:3] {
		require.Equal(t, postdate.Cancelled, a.Becomes(d.ID, postdate.Cancelled).State)
		require.Empty(t, got.of(d.ID))
	}
	a.Listed(3, postdate.Filter{State: postdate.Cancelled})
	a.Listed(3, postdate.Filter{State: postdate.Delivered})
	record(a, "delivered-after-others-were-cancelled", all[0], "")
}

func ids(all []postdate.Delivery) (ids []string) {
	for _, d := range all {
		ids = append(ids, d.ID)
	}
	return ids
}

// becomesNewRun waits until the group of d sleeps on as a new run.
func becomesNewRun(a *deliverytest.Tenant, d postdate.Delivery) {
	a.T.Helper()
	eventually.True(a.T, func() bool {
		read, err := a.Get(a.T.Context(), a.Name, d.ID)
		require.NoError(a.T, err)
		return read.Execution.RunID != d.Execution.RunID
	}, "it stays awake")
}

func TestScheduleGroup_AllCancelledEnd(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	all := together(a, a.Endpoint("*", deliverytest.Answering(http.StatusOK)), nextSecond(time.Hour), 20)
	var group sync.WaitGroup
	for _, d := range all {
		group.Go(func() { require.NoError(t, a.CancelDelivery(t.Context(), a.Name, d.ID)) })
	}
	group.Wait()
	a.Listed(20, postdate.Filter{State: postdate.Cancelled})
	a.Listed(0, postdate.Filter{State: postdate.Delivered})
	a.Listed(0, postdate.Filter{State: postdate.Scheduled})
	require.NoError(t, deliverytest.Temporal.GetWorkflow(t.Context(), all[0].Execution.WorkflowID, "").Get(t.Context(), nil))
	record(a, "all-cancelled", all[0], "")
}

func TestScheduleGroup_WhatIsRescheduledOrFiredLeaves(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	var got received
	endpoint := a.Endpoint("*", got.note(deliverytest.Answering(http.StatusOK)))
	due := nextSecond(10 * time.Second)
	all := together(a, endpoint, due, 5)
	sooner, later := time.Now().UTC().Add(6*time.Second), time.Now().UTC().Add(time.Hour)

	require.NoError(t, a.Update(t.Context(), a.Name, all[0].ID, protocol.UpdateFire))
	fired := a.Becomes(all[0].ID, postdate.Delivered)
	require.Equal(t, due, fired.DueAt)
	require.True(t, got.of(all[0].ID)[0].Before(due))
	require.Equal(t, protocol.DeliveryID(a.Name, all[0].ID), fired.Execution.WorkflowID)

	require.NoError(t, a.Update(t.Context(), a.Name, all[1].ID, protocol.UpdateReschedule, postdate.Change{DueAt: &sooner}))
	require.NoError(t, a.Update(t.Context(), a.Name, all[2].ID, protocol.UpdateReschedule, postdate.Change{DueAt: &later}))
	require.NoError(t, a.Update(t.Context(), a.Name, all[3].ID, protocol.UpdateReschedule, postdate.Change{Data: []byte("2")}))
	for n, at := range []time.Time{sooner, later, due} {
		read, err := a.Get(t.Context(), a.Name, all[n+1].ID)
		require.NoError(t, err)
		require.Equal(t, postdate.Scheduled, read.State)
		require.Equal(t, at, read.DueAt)
		require.Equal(t, at, read.Message.Timestamp)
		require.Equal(t, "d", read.RequestDigest)
	}
	read, err := a.Get(t.Context(), a.Name, all[3].ID)
	require.NoError(t, err)
	require.Equal(t, []byte("2"), read.Message.Data)
	a.Listed(5, postdate.Filter{})
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, all[2].ID))
	a.Becomes(all[1].ID, postdate.Delivered)
	require.True(t, got.of(all[1].ID)[0].Before(due))
	for _, d := range all[3:] {
		a.Becomes(d.ID, postdate.Delivered)
		require.Len(t, got.of(d.ID), 1)
	}
	require.Empty(t, got.of(all[2].ID))
	a.Listed(4, postdate.Filter{State: postdate.Delivered})
	record(a, "rescheduled-and-fired", all[0], all[0].Execution.RunID)
}

func TestScheduleGroup_WhatFailsContinuesAlone(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	answer, mend := deliverytest.Mendable()
	endpoint := a.Endpoint("*", deliverytest.FailingFor("late", answer))
	all := together(a, endpoint, nextSecond(0), 3, func(n int, in *protocol.DeliverInput) {
		if n == 1 {
			in.Shipment.Message.Entity = "late"
		}
	})
	a.Becomes(all[0].ID, postdate.Delivered)
	a.Becomes(all[2].ID, postdate.Delivered)
	dead := a.Becomes(all[1].ID, postdate.Dead)
	require.Len(t, dead.Attempts, 2, "as its own retry plan says")
	require.Equal(t, "d", dead.RequestDigest)
	require.Equal(t, all[1].ID, a.Listed(1, postdate.Filter{State: postdate.Dead})[0].ID)
	a.Listed(2, postdate.Filter{State: postdate.Delivered})
	mend()
	_, err := a.Retry(t.Context(), a.Name, all[1].ID)
	require.NoError(t, err)
	require.Len(t, a.Becomes(all[1].ID, postdate.Delivered).Attempts, 3)
	record(a, "failed-and-handed-over", all[0], "")
}

func TestScheduleGroup_ExpiredAndParked(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	a.Configure(func(tenant *postdate.Tenant) { tenant.Endpoints[0].State = postdate.Paused })
	other := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	due := time.Now().UTC().Add(-10 * time.Second) // the workers were away
	all := together(a, endpoint, due, 3, func(n int, in *protocol.DeliverInput) {
		if n > 0 {
			in.Shipment.To.Endpoint = other
		}
		if n == 1 {
			in.ExpiresAt = due.Add(5 * time.Second)
		}
	})
	a.Becomes(all[0].ID, postdate.Parked)
	expired := a.Becomes(all[1].ID, postdate.Expired)
	require.Empty(t, expired.Attempts)
	require.Equal(t, all[1].ID, a.Listed(1, postdate.Filter{State: postdate.Expired})[0].ID)
	require.Equal(t, all[0].ID, a.Listed(1, postdate.Filter{State: postdate.Parked})[0].ID)
	a.Becomes(all[2].ID, postdate.Delivered)
	a.Configure(func(tenant *postdate.Tenant) { tenant.Endpoints[0].State = postdate.Enabled })
	require.NoError(t, a.ReleaseDelivery(t.Context(), a.Name, all[0].ID))
	a.Becomes(all[0].ID, postdate.Delivered)
	record(a, "expired-and-parked", all[0], "")
}

func TestScheduleGroup_WaitForPermitsWithExecutionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	permits := a.Limit(endpoint)
	all := together(a, endpoint, nextSecond(0), 3)
	for _, d := range all {
		a.Becomes(d.ID, postdate.Waiting)
	}
	later := time.Now().UTC().Add(time.Hour)
	require.NoError(t, a.Update(t.Context(), a.Name, all[0].ID, protocol.UpdateReschedule, postdate.Change{DueAt: &later}))
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, all[1].ID))
	for range 20 { // its line may take some
		permits.Dequeued <- struct{}{}
	}
	require.NoError(t, a.Update(t.Context(), a.Name, all[2].ID, protocol.UpdateFire))
	a.Becomes(all[2].ID, postdate.Delivered)
	a.Becomes(all[0].ID, postdate.Scheduled)
}

func TestScheduleGroup_CancelWaitsForAnAttemptUnderWay(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"accepted": http.StatusOK, "failed": http.StatusBadGateway} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := deliverytest.New(t)
			answer, begun, finish := deliverytest.Held(status)
			endpoint := a.Endpoint("*", deliverytest.FailingFor("slow", answer))
			all := together(a, endpoint, nextSecond(0), 2, func(n int, in *protocol.DeliverInput) {
				in.Retry = postdate.Retry{MaxAttempts: 5, Initial: postdate.Duration(time.Hour)}
				if n == 0 {
					in.Shipment.Message.Entity = "slow"
				}
			})
			<-begun
			require.Equal(t, "attempt 1 is under way", a.Becomes(all[0].ID, postdate.Sending).Reason)
			cancelled := make(chan error)
			go func() { cancelled <- a.CancelDelivery(context.WithoutCancel(t.Context()), a.Name, all[0].ID) }()
			close(finish)
			err := <-cancelled
			if status == http.StatusOK {
				require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
				a.Becomes(all[0].ID, postdate.Delivered)
			} else {
				require.NoError(t, err)
				require.Len(t, a.Becomes(all[0].ID, postdate.Cancelled).Attempts, 1)
			}
		})
	}
}

func TestScheduleGroup_AreCancelledByAnOperation(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	due := nextSecond(time.Hour)
	first := together(a, endpoint, due, 100)
	second := together(a, endpoint, due, 60)
	require.NotEqual(t, first[0].Execution, second[0].Execution)
	a.Listed(160, postdate.Filter{State: postdate.Scheduled})
	require.NoError(t, a.StartOperation(t.Context(), a.Name, "swp_shared", protocol.SweepInput{
		Action: protocol.SweepCancel, Filter: postdate.Filter{Tenant: a.Name},
	}))
	require.NoError(t, deliverytest.Temporal.GetWorkflow(t.Context(), protocol.SweepID(a.Name, "swp_shared"), "").Get(t.Context(), nil))
	progress, finished, err := a.GetOperation(t.Context(), a.Name, "swp_shared")
	require.NoError(t, err)
	require.True(t, finished)
	require.Equal(t, protocol.SweepProgress{Found: 160, Done: 160}, progress)
	a.Listed(160, postdate.Filter{State: postdate.Cancelled})
	a.Listed(0, postdate.Filter{State: postdate.Scheduled})
	count, err := a.Count(t.Context(), postdate.Filter{Tenant: a.Name})
	require.NoError(t, err)
	require.Equal(t, 160, count)
}

func TestScheduleGroup_ArePublishedToSubscribers(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	var got received
	a.Endpoint("t", got.note(deliverytest.Answering(http.StatusOK)))
	a.Endpoint("*", got.note(deliverytest.Answering(http.StatusOK)))
	all := together(a, "", nextSecond(0), 3)
	for _, d := range all {
		require.Equal(t, "published to 2 endpoints", a.Becomes(d.ID, postdate.Delivered).Attempts[0].Response)
		eventually.True(t, func() bool { return len(got.of(d.ID)) == 2 }, "both get it")
	}
}

func TestScheduleGroup_PagesListEachOnce(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	all := together(a, "", nextSecond(time.Hour), 25)
	for n := range 10 {
		_, err := a.Schedule("named-"+strconv.Itoa(n), nextSecond(time.Hour), time.Time{})
		require.NoError(t, err)
	}
	a.Listed(35, postdate.Filter{SchedulesOnly: true})
	rows := deliverytest.IDs(a.Pages(postdate.Filter{Tenant: a.Name}, 4))
	require.Len(t, rows, 35)
	slices.Sort(rows)
	require.Len(t, slices.Compact(rows), 35)
	require.Subset(t, rows, ids(all))
}

// However long the ids of the entities are, a hundred schedules share an execution, and each is
// found by its own.
func TestScheduleGroup_IsFoundByEachOfManyLongEntities(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	entity := func(n int) string { return strings.Repeat("long_", 20) + strconv.Itoa(n) }
	all := together(a, "", nextSecond(time.Hour), 100, func(n int, in *protocol.DeliverInput) {
		in.Shipment.Message.Entity = entity(n)
	})
	few := together(a, "", nextSecond(time.Hour), 2, func(n int, in *protocol.DeliverInput) {
		in.Shipment.Message.Entity = entity(n)
	})
	a.Listed(102, postdate.Filter{SchedulesOnly: true})
	for n := range 3 {
		want := []string{all[n].ID}
		if n < len(few) {
			want = append(want, few[n].ID)
		}
		found := a.Listed(len(want), postdate.Filter{Entity: entity(n)})
		require.ElementsMatch(t, want, deliverytest.IDs(found))
	}
	a.Listed(0, postdate.Filter{Entity: entity(100)})
}
