package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/worker"
)

// reluctantIngester fails to start what an Intake carries, so many times.
type reluctantIngester struct {
	worker.Ingester

	failures atomic.Int32
}

func (r *reluctantIngester) StartIntake(ctx context.Context, in protocol.IntakeInput) (protocol.IntakeResult, error) {
	if r.failures.Add(-1) >= 0 {
		return protocol.IntakeResult{}, errors.New("no connection")
	}
	return r.Ingester.StartIntake(ctx, in)
}

func arrivalsOf(tenant string) []ingest.Arrival {
	event := func(id string) *postdate.Event {
		return &postdate.Event{ID: id, Type: "order.paid", Data: []byte(`{}`)}
	}
	due := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	schedule := func(id string) ingest.Unnamed {
		in := protocol.DeliverInput{Retry: postdate.RetryOrDefault(nil)}
		in.Shipment = protocol.DeliveryTask{
			Message: postdate.Message{ID: id, Tenant: tenant, Type: "order.due", Timestamp: due}, DueAt: due,
			To: postdate.Destination{URL: "https://b.example/hooks"}, Timeout: postdate.Duration(postdate.DefaultTimeout),
		}
		return ingest.Unnamed{Input: in, Accepted: protocol.Accepted{Digest: "digest of " + id, At: time.Now().UTC()}}
	}
	return []ingest.Arrival{
		{Tenant: tenant, Position: 10, Event: event("")},
		{Tenant: tenant, Position: 11, Event: event("")},
		{Tenant: tenant, Position: 12, Event: event("order-1")},
		{Tenant: tenant, Position: 13, Schedule: schedule("expiry-1"), Named: true},
		{Tenant: tenant, Position: 14, Schedule: schedule("sch_x")},
		{Tenant: tenant, Position: 15, Schedule: schedule("sch_y")},
		{Tenant: "other-" + tenant, Position: 16, Schedule: schedule("sch_z")},
	}
}

func TestIntakeStartsWhatRecordsAskFor(t *testing.T) {
	t.Parallel()
	for name, failures := range map[string]int32{"intake/started": 0, "intake/tried-again": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t)
			reluctant := &reluctantIngester{Ingester: rig.ingester}
			reluctant.failures.Store(failures)
			w := newWorker(rig.Client, func(c *worker.Config) { c.Ingester = reluctant })
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)

			id := protocol.IntakeID("orders", "topic/3/0", 0)
			plan, err := rig.ingester.PlanIntake(t.Context(), "orders", id, arrivalsOf("tenant-in"))
			require.NoError(t, err)
			require.Equal(t, []int64{10, 11, 12, 13, 14, 15, 16}, plan.Positions)
			require.Len(t, plan.Dispatches, 2, "events without names share one")
			require.Len(t, plan.Groups, 1, "so do schedules that are due within the same second")
			require.Len(t, plan.Schedules, 2)
			require.NoError(t, rig.ingester.RunIntake(t.Context(), id, plan))
			result, err := rig.ingester.IntakeResult(t.Context(), id)
			require.NoError(t, err)
			require.Empty(t, result.Conflicts)
			positions, found, err := rig.ingester.IntakeRecords(t.Context(), id)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, plan.Positions, positions)
			require.ErrorIs(t, rig.ingester.RunIntake(t.Context(), id, plan), executions.ErrExists)
			historytest.Record(t, rig.Client, name, id, "")

			for _, dispatch := range plan.Dispatches {
				started, err := rig.DescribeWorkflowExecution(t.Context(), dispatch.WorkflowID, "")
				require.NoError(t, err)
				require.Equal(t, protocol.DispatchWorkflow, started.GetWorkflowExecutionInfo().GetType().GetName())
			}
			found, err = rig.ingester.Started(t.Context(), "tenant-in", "expiry-1")
			require.NoError(t, err)
			require.True(t, found)

			// The same records, read again: nothing is made twice, and another body is refused.
			again := arrivalsOf("tenant-in")
			again[2].Event.Data = []byte(`{"n": 2}`)
			again[3].Schedule.Accepted.Digest = "another"
			other := protocol.IntakeID("orders", "topic/3/0", 1)
			plan, err = rig.ingester.PlanIntake(t.Context(), "orders", other, again[2:4])
			require.NoError(t, err)
			result, err = rig.ingester.StartIntake(t.Context(), plan)
			require.NoError(t, err)
			require.Len(t, result.Conflicts, 2)
			require.Contains(t, result.Conflicts[0].Reason, `"order-1" exists already`)
			require.Contains(t, result.Conflicts[1].Reason, `"expiry-1" exists already`)
		})
	}
}
