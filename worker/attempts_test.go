package worker_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/worker"
)

// TestAttempts_AreMadeOnce has what could repeat an attempt arrive during it, with two
// workers, as two processes of postdate serve are. No attempt is repeated, and none needs
// the memory of a process for that.
func TestAttempts_AreMadeOnce(t *testing.T) {
	t.Parallel()
	stop := worker.Config{StopTimeout: time.Second}
	r := newRig(t, stop, stop)
	tests := make(map[string]func(*testing.T))
	for name, test := range map[string]func(*testing.T, *rig){
		"parked, and resumed shortly before it expires":   parkedAndResumedShortlyBeforeItExpires,
		"parked, and resumed within five seconds":         parkedAndResumed,
		"paused and resumed during an attempt":            pausedAndResumedDuringAnAttempt,
		"an event with more endpoints than one group has": moreThanFit,
		"an event with parts, cancelled from the Web UI":  partsCancelledByTemporal,
		"a group that is cancelled from the Web UI":       groupCancelledByTemporal,
		"a delivery that is cancelled from the Web UI":    deliveryCancelledByTemporal,
		"released from a line, and signalled again":       releasedFromALine,
		"rescheduled by the receiver after it was parked": rescheduledAfterItWasParked,
		"fired while asleep, shortly before it is due":    firedShortlyBeforeItIsDue,
		"fired among others, shortly before they are due": firedAmongOthers,
		"cancelled among others as they are due":          cancelledAmongOthers,
		"a line that is woken again and again":            wokenAgain,
		"a test of an endpoint that is signalled":         testSignalled,
		"a retried dead letter that is signalled":         retriedAndSignalled,
	} {
		tests[name] = func(t *testing.T) { test(t, r) } //nolint:thelper // it is the test
	}
	runTogether(t, tests)
	require.Zero(t, r.repeated.Load())
}

// tail is how long the receivers of this file take: longer than a timer or a signal needs
// to arrive during an attempt.
const tail = 1500 * time.Millisecond

// recordHistory keeps the history of the execution that carries s.
func (s *sending) recordHistory(name string) {
	s.t.Helper()
	historytest.Record(s.t, s.Client, name, s.workflowID, "")
}

// signal sends a signal to the execution that carries s, as a stale list has a Sweep do.
func (s *sending) signal(name string) {
	s.t.Helper()
	require.NoError(s.t, s.SignalWorkflow(s.t.Context(), s.workflowID, "", name, nil))
}

func parkedAndResumedShortlyBeforeItExpires(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, 3*time.Second)
	s.setEndpoint(postdate.Paused)
	s.deliver(0, func(in *protocol.DeliverInput) { in.ExpiresAt = in.Shipment.DueAt.Add(4 * time.Second) })
	s.await(postdate.Parked)
	s.setEndpoint(postdate.Enabled)
	s.signal(protocol.SignalRelease) // its timer fires as it expires, during the attempt
	<-s.arrived
	require.Equal(t, postdate.Sending, s.get().State)
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State, "it was sent in time")
	s.recordHistory("deliver/expires-during-the-attempt-after-a-park")
}

func parkedAndResumed(t *testing.T, r *rig) {
	t.Helper()
	const all = 12
	first := r.newSending(t, tail)
	first.setEndpoint(postdate.Paused)
	var sendings []*sending
	for range all {
		s := &sending{rig: r, t: t, tenant: first.tenant, slow: tail, arrived: make(chan time.Time, 10)}
		s.deliver(0)
		sendings = append(sendings, s)
	}
	for _, s := range sendings {
		s.await(postdate.Parked)
	}
	first.resume()
	for _, s := range sendings {
		require.Equal(t, postdate.Delivered, s.requireOneWinner().State)
	}
	sendings[0].recordHistory("deliver/parked-then-sent-once")
}

func pausedAndResumedDuringAnAttempt(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	s.setEndpoint(postdate.Paused)
	s.deliver(0)
	s.await(postdate.Parked)
	s.resume()
	<-s.arrived
	s.setEndpoint(postdate.Paused)
	s.resume()
	s.signal(protocol.SignalRelease)
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State)
}

// subscribe publishes an event to n endpoints of which those in slow take tail. It returns
// the event's execution, and the receipts by endpoint.
func subscribe(t *testing.T, r *rig, n, slow int) (run client.WorkflowRun, receipts *sync.Map) {
	t.Helper()
	event, receipts := fmt.Sprintf("evt-%d", given.Add(1)), new(sync.Map)
	tenant := fmt.Sprintf("tenant-%d", tenants.Add(1))
	publication := protocol.Publication{Message: postdate.Message{ID: event, Tenant: tenant, Type: "t", Timestamp: time.Now().UTC(), Data: []byte(`1`)}}
	var list []postdate.Endpoint
	for i := range n {
		id := fmt.Sprintf("ep_%d", i)
		list = append(list, postdate.Endpoint{ID: id, URL: id, State: postdate.Enabled})
		publication.Endpoints = append(publication.Endpoints, id)
	}
	endpoints.Store(tenant, list)
	receivers.Store(event, subscribers(func(url string) postdate.Attempt {
		count, _ := receipts.LoadOrStore(url, 0)
		receipts.Store(url, count.(int)+1)
		if slices.Index(publication.Endpoints, url) < slow {
			time.Sleep(tail)
		}
		return accept("")
	}))
	in := protocol.DispatchInput{Digest: "d", At: time.Now().UTC(), Events: []protocol.Publication{publication}}
	run, err := r.ExecuteWorkflow(t.Context(), protocol.DispatchOptions(protocol.EventID(tenant, event), in), protocol.DispatchWorkflow, in)
	require.NoError(t, err)
	return run, receipts
}

// requireReceipts holds that each of n endpoints got the event once.
func requireReceipts(t *testing.T, receipts *sync.Map, n int) {
	t.Helper()
	got := 0
	receipts.Range(func(url, count any) bool {
		require.Equal(t, 1, count, url)
		got++
		return true
	})
	require.Equal(t, n, got)
}

func moreThanFit(t *testing.T, r *rig) {
	t.Helper()
	const n = 2*protocol.MaxGroupEndpoints + 20
	run, receipts := subscribe(t, r, n, protocol.MaxGroupEndpoints)
	delivered := 0
	for part := range 3 {
		id := run.GetID()
		if part > 0 {
			id = protocol.PartID(id, part)
		}
		var result protocol.DispatchResult
		require.NoError(t, r.GetWorkflow(t.Context(), id, "").Get(t.Context(), &result))
		delivered += len(result.Delivered)
	}
	require.Equal(t, n, delivered)
	requireReceipts(t, receipts, n)
	historytest.Record(t, r.Client, "dispatch/parts-that-are-not-children", run.GetID(), "")
}

func partsCancelledByTemporal(t *testing.T, r *rig) {
	t.Helper()
	cancelDispatch(t, r, protocol.MaxGroupEndpoints+5)
}

func groupCancelledByTemporal(t *testing.T, r *rig) {
	t.Helper()
	cancelDispatch(t, r, 5)
}

// cancelDispatch cancels a Dispatch during its attempts, as Temporal's Web UI does.
func cancelDispatch(t *testing.T, r *rig, n int) {
	t.Helper()
	run, receipts := subscribe(t, r, n, n)
	require.Eventually(t, func() bool {
		_, begun := receipts.Load("ep_0")
		return begun
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, r.CancelWorkflow(t.Context(), run.GetID(), ""))
	var result protocol.DispatchResult
	require.NoError(t, run.Get(t.Context(), &result))
	require.Len(t, result.Delivered, min(n, protocol.MaxGroupEndpoints))
	for part := range (n - 1) / protocol.MaxGroupEndpoints {
		require.NoError(t, r.GetWorkflow(t.Context(), protocol.PartID(run.GetID(), part+1), "").Get(t.Context(), nil))
	}
	requireReceipts(t, receipts, n)
	if n < protocol.MaxGroupEndpoints {
		historytest.Record(t, r.Client, "dispatch/cancelled-during-slow-attempts", run.GetID(), "")
	}
}

func deliveryCancelledByTemporal(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	s.deliver(0)
	<-s.arrived
	require.NoError(t, s.CancelWorkflow(t.Context(), s.workflowID, ""))
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State, "the attempt came first")
	s.recordHistory("deliver/cancelled-by-temporal-during-a-slow-attempt")
}

func releasedFromALine(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	busy.Store(s.tenant, true)
	s.signalSettings(postdate.Paused)
	s.deliver(0)
	s.await(postdate.Waiting)
	s.signalSettings(postdate.Enabled)
	<-s.arrived
	s.signal(protocol.SignalRelease)
	s.signal(protocol.SignalSuperseded)
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State)
	s.recordHistory("deliver/released-from-a-line-then-sent-once")
}

func rescheduledAfterItWasParked(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	s.setEndpoint(postdate.Paused)
	again := true
	s.deliver(0)
	receivers.Store(s.id, subscribers(func(string) postdate.Attempt {
		attempt := s.receive("")
		if again {
			again = false
			attempt.Outcome, attempt.RescheduleTo = postdate.Rescheduled, time.Now().UTC().Add(time.Second)
		}
		return attempt
	}))
	s.await(postdate.Parked)
	s.resume()
	<-s.arrived
	<-s.arrived
	s.signal(protocol.SignalRelease) // by a sweep whose list is old
	read := s.await(postdate.Delivered)
	require.Len(t, s.receipts(), 2)
	require.Len(t, read.Attempts, 2)
	s.recordHistory("deliver/signalled-in-its-next-run")
}

func firedShortlyBeforeItIsDue(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	s.deliver(2*time.Second, func(in *protocol.DeliverInput) { in.ExpiresAt = in.Shipment.DueAt.Add(time.Hour) })
	// An Update that is refused wakes it: from then on it sleeps by a timer.
	late := postdate.Change{DueAt: new(s.due.Add(2 * time.Hour))}
	require.Error(t, s.store.Update(t.Context(), s.tenant, s.id, protocol.UpdateReschedule, late))
	require.NoError(t, s.store.Update(t.Context(), s.tenant, s.id, protocol.UpdateFire))
	require.Equal(t, postdate.Sending, s.get().State)
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State)
}

func firedAmongOthers(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	s.share(1500 * time.Millisecond)
	// An Update that is refused wakes it: from then on it sleeps by a timer.
	require.Error(t, s.store.Update(t.Context(), s.tenant, s.id, protocol.UpdateReschedule, postdate.Change{}))
	require.NoError(t, s.store.Update(t.Context(), s.tenant, s.id, protocol.UpdateFire))
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State)
	s.recordHistory("schedulegroup/fired-shortly-before-it-is-due")
}

// cancelledAmongOthers has one of two be cancelled so shortly before both are due that its
// group stays awake: the attempt at the other is a regular activity.
func cancelledAmongOthers(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	s.share(800 * time.Millisecond)
	group, _, _ := postdate.SplitGroupedScheduleID(s.id)
	require.NoError(t, s.store.CancelDelivery(t.Context(), s.tenant, postdate.GroupedScheduleID(group, 1)))
	<-s.arrived
	require.Equal(t, postdate.Sending, s.get().State)
	require.NoError(t, s.CancelWorkflow(t.Context(), s.workflowID, ""))
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State)
	s.recordHistory("schedulegroup/sent-by-an-activity")
}

func wokenAgain(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	busy.Store(s.tenant, true)
	s.signalSettings(postdate.Paused)
	var result protocol.DispatchResult
	require.NoError(t, s.publish().Get(t.Context(), &result))
	require.Len(t, result.Queued, 1)
	s.workflowID = protocol.LineID(s.tenant, "ep_1", result.Queued[0].Line)
	s.await(postdate.Waiting)
	s.signalSettings(postdate.Enabled)
	<-s.arrived
	for range 3 {
		require.NoError(t, s.SignalWorkflow(t.Context(), s.workflowID, "", protocol.SignalCall, protocol.Wake{}))
	}
	require.NoError(t, s.CancelWorkflow(t.Context(), s.workflowID, ""))
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State)
}

func testSignalled(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	s.setEndpoint(postdate.Paused)
	s.deliver(0, func(in *protocol.DeliverInput) { in.Shipment.Test = true })
	<-s.arrived
	s.signal(protocol.SignalRelease)
	require.Equal(t, postdate.Delivered, s.requireOneWinner().State)
}

func retriedAndSignalled(t *testing.T, r *rig) {
	t.Helper()
	s := r.newSending(t, tail)
	s.failing = 1
	s.deliver(0, func(in *protocol.DeliverInput) { in.Retry.Schedule = []postdate.Duration{} })
	<-s.arrived
	s.await(postdate.Dead)
	_, err := s.store.Retry(t.Context(), s.tenant, s.id)
	require.NoError(t, err)
	<-s.arrived
	s.signal(protocol.SignalRelease) // by a sweep whose list is old
	read := s.await(postdate.Delivered)
	require.Len(t, s.receipts(), 2)
	require.Len(t, read.Attempts, 2)
	described, err := s.DescribeWorkflowExecution(t.Context(), s.workflowID, "")
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, described.GetWorkflowExecutionInfo().GetStatus())
}
