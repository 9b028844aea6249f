package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/worker"
)

// race is something that happens to a delivery in some situation.
type race struct {
	*sending

	answer error // of the action
	early  bool  // it may be sent before it is due
}

// situations bring a delivery to where the race begins.
var situations = map[string]func(*race){
	"asleep": func(r *race) { r.deliver(1500 * time.Millisecond) },
	"during the first attempt": func(r *race) {
		r.deliver(0)
		<-r.arrived
	},
	"during a backoff": func(r *race) {
		r.failing = 1
		r.deliver(0)
		<-r.arrived
		r.await(postdate.Retrying, postdate.Delivered)
	},
	"parked": func(r *race) {
		r.setEndpoint(postdate.Paused)
		r.deliver(0)
		r.await(postdate.Parked)
	},
	"waiting": func(r *race) {
		busy.Store(r.tenant, true)
		r.signalSettings(postdate.Paused)
		r.deliver(0)
		r.await(postdate.Waiting)
	},
	"in a line that sends": func(r *race) {
		busy.Store(r.tenant, true)
		r.signalSettings(postdate.Paused)
		var result protocol.DispatchResult
		require.NoError(r.t, r.publish().Get(r.t.Context(), &result))
		r.workflowID = protocol.LineID(r.tenant, "ep_1", result.Queued[0].Line)
		r.signalSettings(postdate.Enabled)
		<-r.arrived
	},
	"asleep with another": func(r *race) { r.share(1500 * time.Millisecond) },
	"asleep with another, shortly before it is due": func(r *race) {
		r.share(time.Second)
		time.Sleep(time.Until(r.due.Add(-30 * time.Millisecond)))
	},
	"with another, during the first attempt": func(r *race) {
		r.share(0)
		<-r.arrived
	},
	"in a group that sends": func(r *race) {
		r.publish()
		<-r.arrived
	},
}

// actions are what happens then.
var actions = map[string]func(*race){
	"cancel": func(r *race) { r.answer = r.store.CancelDelivery(r.t.Context(), r.tenant, r.id) },
	"fire": func(r *race) {
		r.early = true
		r.answer = r.store.Update(r.t.Context(), r.tenant, r.id, protocol.UpdateFire)
	},
	"reschedule": func(r *race) {
		sent := len(r.receipts()) > 0
		later := time.Now().UTC().Add(2500 * time.Millisecond)
		r.answer = r.store.Update(r.t.Context(), r.tenant, r.id, protocol.UpdateReschedule, postdate.Change{DueAt: &later})
		if !sent && r.answer == nil {
			r.due = later
		}
	},
	"pause": func(r *race) {
		r.setEndpoint(postdate.Paused)
		r.signalSettings(postdate.Paused)
		r.resume()
	},
	"resume": func(r *race) { r.resume() },
	"delete the endpoint": func(r *race) {
		endpoints.Store(r.tenant, []postdate.Endpoint{})
		r.version++
		r.signalSettings("")
		r.sweep(protocol.SweepCancel)
	},
	"retry":              func(r *race) { r.answer = r.store.RetryDelivery(r.t.Context(), r.tenant, r.id) },
	"cancel in Temporal": func(r *race) { r.answer = r.CancelWorkflow(r.t.Context(), r.workflowID, "") },
	"terminate in Temporal": func(r *race) {
		r.answer = r.TerminateWorkflow(r.t.Context(), r.workflowID, "", "by the operator")
	},
	"signal in Temporal": func(r *race) {
		for _, name := range []string{protocol.SignalRelease, protocol.SignalCall} {
			r.answer = r.SignalWorkflow(r.t.Context(), r.workflowID, "", name, protocol.Wake{})
		}
	},
}

// TestRaces_HaveOneWinner has each action happen to a delivery in each situation. However
// it ends, its log has each receipt once, its state is what its log says, whoever acted
// was answered accordingly, and nothing was sent early.
func TestRaces_HaveOneWinner(t *testing.T) {
	t.Parallel()
	rig := newRig(t, worker.Config{StopTimeout: time.Second})
	cells := make(map[string]func(*testing.T))
	for situation, begin := range situations {
		for action, act := range actions {
			for _, slow := range receiverTimes {
				cells[fmt.Sprintf("%s %s, %s", action, situation, slow)] = func(t *testing.T) {
					t.Helper()
					r := &race{sending: rig.newSending(t, slow)}
					begin(r)
					act(r)
					r.finish(action)
					r.requireFair(action)
				}
			}
		}
	}
	runTogether(t, cells)
}

// finish has all that still waits go on.
func (r *race) finish(action string) {
	r.t.Helper()
	if action == "delete the endpoint" || action == "terminate in Temporal" {
		return
	}
	r.resume()
}

func (r *race) requireFair(action string) {
	r.t.Helper()
	ends := []postdate.State{postdate.Delivered, postdate.Cancelled}
	read := r.await(ends...)
	if action == "terminate in Temporal" {
		// The execution closes at once, without the result of an attempt that is under way.
		require.LessOrEqual(r.t, len(r.receipts())-len(read.Attempts), 1)
	} else {
		r.requireOneWinner()
	}
	if action == "cancel" {
		require.Equal(r.t, r.answer == nil, read.State == postdate.Cancelled, "%s, and cancel was answered by: %v", read.State, r.answer)
	}
	accepted := 0
	for _, attempt := range read.Attempts {
		if attempt.Outcome == postdate.Accepted {
			accepted++
		}
	}
	require.LessOrEqual(r.t, accepted, 1)
	if !r.early {
		for _, at := range r.receipts() {
			require.False(r.t, at.Before(r.due.Add(-10*time.Millisecond)), "sent at %s, and due at %s", at, r.due)
		}
	}
}

// TestRaces_SurviveTheEndOfTheirWorker stops a worker, as SIGTERM does, while deliveries
// are in each situation, and starts another.
func TestRaces_SurviveTheEndOfTheirWorker(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	stop := rig.startWorker(t, worker.Config{StopTimeout: 30 * time.Second})
	var races []*race
	for _, begin := range situations {
		for _, slow := range receiverTimes {
			r := &race{sending: rig.newSending(t, slow)}
			begin(r)
			races = append(races, r)
		}
	}
	stop()
	t.Cleanup(rig.startWorker(t, worker.Config{StopTimeout: time.Second}))
	for _, r := range races {
		r.finish("stop")
		r.requireFair("stop")
	}
	require.Zero(t, rig.repeated.Load())
}
