package worker_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/worker"
)

func TestRescheduledOutOfABurst(t *testing.T) {
	t.Parallel()
	id, due := unique(t), time.Now().UTC().Add(time.Hour)
	run, err := engineClient.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: protocol.ScheduleID("default", id), TaskQueue: protocol.TaskQueue, StartDelay: time.Hour,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			protocol.AttrTenant.ValueSet("default"), protocol.AttrBurst.ValueSet(protocol.BurstOf("default", due))),
	}, protocol.DeliverWorkflow, protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{ID: id, Tenant: "default", Type: "payment_request.due", Timestamp: due},
			To:      postdate.Destination{URL: "https://b.example/hooks"}, DueAt: due,
			Timeout: postdate.Duration(postdate.DefaultTimeout),
		},
	})
	require.NoError(t, err)
	d := &delivery{t: t, id: id, run: run}
	later := due.Add(time.Hour)
	_, err = d.update(protocol.UpdateReschedule, postdate.Change{DueAt: &later})
	require.NoError(t, err)
	d.requireAsleepUntil(later)
	record(t, d)
	described, err := engineClient.DescribeWorkflowExecution(t.Context(), run.GetID(), "")
	require.NoError(t, err)
	fields := described.GetWorkflowExecutionInfo().GetSearchAttributes().GetIndexedFields()
	require.Contains(t, fields, protocol.AttrTenant.GetName())
	require.NotContains(t, fields, protocol.AttrBurst.GetName())
}

// What is changed counts by the bytes that it has then.
func TestChangedToMoreData(t *testing.T) {
	t.Parallel()
	d := deliver(t, time.Hour, answers(postdate.Accepted, 200))
	size := func() string {
		t.Helper()
		described, err := engineClient.DescribeWorkflowExecution(t.Context(), d.run.GetID(), "")
		require.NoError(t, err)
		var shown string
		if payload := described.GetWorkflowExecutionInfo().GetSearchAttributes().GetIndexedFields()[protocol.AttrSize.GetName()]; payload != nil {
			require.NoError(t, converter.GetDefaultDataConverter().FromPayload(payload, &shown))
		}
		return shown
	}
	require.Empty(t, size())
	change := func(data string) {
		t.Helper()
		_, err := d.update(protocol.UpdateReschedule, postdate.Change{Data: []byte(`"` + data + `"`)})
		require.NoError(t, err)
	}
	change(strings.Repeat("x", 5<<10))
	record(t, d)
	eventually.True(t, func() bool { return size() == "4" })
	change("small")
	eventually.True(t, func() bool { return size() == "" })
}

// burstRate keeps what a worker observes.
type burstRate struct {
	mu        sync.Mutex
	perSecond []int
	late      []time.Duration
}

func (b *burstRate) Observe(perSecond int, late time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.perSecond, b.late = append(b.perSecond, perSecond), append(b.late, late)
}

func (b *burstRate) observed() (perSecond []int, late []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.perSecond, b.late
}

// newBurstRig is a rig that has two executions of a burst start per second, and whose worker
// observes them.
func newBurstRig(t *testing.T) (*rig, *burstRate) {
	t.Helper()
	r, observed := newRig(t), new(burstRate)
	r.ingester = ingest.New(ingest.Config{
		Temporal: r.Client, Executions: executions.New(executions.Config{Temporal: r.Client}), Tenants: directory{},
		BurstPerSecond: func() int { return 2 }, Log: slog.New(slog.DiscardHandler),
	})
	w := newWorker(r.Client, func(c *worker.Config) { c.BurstRate = observed })
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return r, observed
}

func TestBurst_ShowsHowLateItsFirstAttemptsBegin(t *testing.T) {
	t.Parallel()
	r, observed := newBurstRig(t)
	s := r.newSending(t, 0)
	s.failing = 4
	due := time.Now().UTC().Truncate(time.Second).Add(4 * time.Second)
	for range 4 { // the first is one of a few, and the last are put off by half a second and a second
		s.deliver(time.Until(due), func(in *protocol.DeliverInput) {
			in.Shipment.DueAt, in.Retry = due, postdate.Retry{MaxAttempts: 1}.WithDefaults()
		})
	}
	s.await(postdate.Dead)
	_, err := r.store.Retry(t.Context(), s.tenant, s.id) // which begins at once
	require.NoError(t, err)
	for range 5 {
		<-s.arrived
	}
	perSecond, late := observed.observed()
	require.Equal(t, []int{2, 2, 2}, perSecond)
	began := s.receipts()[len(s.receipts())-1]
	for n, late := range late {
		put := time.Duration(n) * time.Second / 2
		require.Greater(t, late, -time.Second)
		require.LessOrEqual(t, due.Add(put).Add(late), began)
	}
}

func TestBurst_ShowsHowLateItsGroupsBegin(t *testing.T) {
	t.Parallel()
	r, observed := newBurstRig(t)
	s := r.newSending(t, 0)
	receivers.Store(s.tenant+" ", subscribers(s.receive))
	due := time.Now().UTC().Truncate(time.Second).Add(4 * time.Second)
	for n := range 3 {
		both := make([]ingest.Unnamed, 2)
		for n := range both {
			in := protocol.DeliverInput{Retry: *retrySoon()}
			in.Shipment.Message, in.Shipment.DueAt, in.Shipment.To = s.message("made"), due, postdate.Destination{Endpoint: "ep_1"}
			both[n] = ingest.Unnamed{Input: in, Accepted: protocol.Accepted{To: in.Shipment.To, At: time.Now()}}
		}
		created := r.ingester.StartAllUnnamed(t.Context(), both)
		require.NoError(t, created[0].Err)
		require.Equal(t, created[0].Delivery.Execution, created[1].Delivery.Execution, "of group %d", n)
	}
	for range 6 {
		<-s.arrived
	}
	perSecond, _ := observed.observed()
	require.Equal(t, []int{2, 2}, perSecond, "once for each group but the first")
}

// What a request wakes says nothing of the workers.
func TestBurst_ShowsNothingWhereItIsWoken(t *testing.T) {
	t.Parallel()
	r, observed := newBurstRig(t)
	s := r.newSending(t, 0)
	due := time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	for n := range 4 {
		s.deliver(time.Until(due), func(in *protocol.DeliverInput) { in.Shipment.DueAt = due })
		update := client.UpdateWorkflowOptions{
			WorkflowID: s.workflowID, UpdateName: protocol.UpdateFire, WaitForStage: client.WorkflowUpdateStageCompleted,
		}
		if n%2 == 0 {
			soon := time.Now().Add(time.Second)
			update.UpdateName, update.Args = protocol.UpdateReschedule, []any{postdate.Change{DueAt: &soon}}
		}
		handle, err := r.UpdateWorkflow(t.Context(), update)
		require.NoError(t, err)
		require.NoError(t, handle.Get(t.Context(), nil))
		<-s.arrived
	}
	perSecond, _ := observed.observed()
	require.Empty(t, perSecond)
}
