package worker_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/protocol"
)

// recurring is a recurring schedule on the engine, and its first run.
type recurring struct {
	*recurrences.Store
	t  *testing.T
	in protocol.RecurrenceInput
	// first is the id of its first run.
	first string
}

// recur creates a recurring schedule whose receiver answers as answer does.
func recur(t *testing.T, rule string, answer postdate.Attempt) *recurring {
	t.Helper()
	started := executions.New(executions.Config{Temporal: engineClient})
	r := &recurring{t: t, Store: newRecurrences(engineClient, started, ingest.New(ingest.Config{
		Temporal: engineClient, Executions: started, Tenants: directory{},
	}))}
	require.NoError(t, json.Unmarshal([]byte(rule), &r.in.Recurrence))
	r.in.ID = strings.ReplaceAll(unique(t), "/", "-")
	r.in.Accepted.At = time.Now().UTC()
	r.in.Task.Retry = postdate.Retry{MaxAttempts: 1}.WithDefaults()
	r.in.Task.Shipment.To = postdate.Destination{URL: "https://b.example/hooks"}
	r.in.Task.Shipment.Message = postdate.Message{Tenant: "default", Type: "statement.due", Data: []byte(`{"amount":1}`)}
	r.receive(answer, postdate.FiredID(r.in.ID, 1))
	created, err := r.Create(t.Context(), r.in)
	require.NoError(t, err)
	r.first = created.Execution.RunID
	for _, tick := range created.Next {
		r.receive(answer, postdate.TickID(r.in.ID, tick.DueAt))
	}
	return r
}

// receive has the receiver answer a message.
func (r *recurring) receive(answer postdate.Attempt, id string) {
	receivers.Store(id, subscribers(func(string) postdate.Attempt { return answer }))
}

// continues waits until the first run has ended, and keeps its history.
func (r *recurring) continues() {
	r.t.Helper()
	id := protocol.RecurrenceID("default", r.in.ID)
	eventually.True(r.t, func() bool {
		described, err := engineClient.DescribeWorkflowExecution(r.t.Context(), id, r.first)
		require.NoError(r.t, err)
		return described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	})
	historytest.Record(r.t, engineClient, "recurrence/"+kebab(strings.TrimPrefix(r.t.Name(), "TestRecurrence")), id, r.first)
}

const (
	yearly   = `{"cron":"0 9 1 1 *","time_zone":"America/Sao_Paulo"}`
	everySec = `{"every":"1s","limit":3}`
)

var accepted = postdate.Attempt{Outcome: postdate.Accepted, Status: 200}

func TestRecurrenceTicks(t *testing.T) {
	t.Parallel()
	recur(t, everySec, accepted).continues()
}

func TestRecurrenceEnds(t *testing.T) {
	t.Parallel()
	recur(t, `{"every":"1s","limit":1}`, accepted).continues()
}

func TestRecurrencePaused(t *testing.T) {
	t.Parallel()
	r := recur(t, yearly, accepted)
	require.NoError(t, r.Pause(t.Context(), "default", r.in.ID, postdate.Pause{Note: "n"}))
	r.continues()
}

func TestRecurrenceResumed(t *testing.T) {
	t.Parallel()
	r := recur(t, yearly, accepted)
	require.NoError(t, r.Resume(t.Context(), "default", r.in.ID))
	r.continues()
}

func TestRecurrenceSkipped(t *testing.T) {
	t.Parallel()
	r := recur(t, yearly, accepted)
	require.NoError(t, r.Skip(t.Context(), "default", r.in.ID))
	r.continues()
}

// TestRecurrenceStartedAhead keeps the run that starts a tick's delivery before it is due,
// and those that withdraw it.
func TestRecurrenceStartedAhead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *recurring) error{
		"paused":    func(r *recurring) error { return r.Pause(t.Context(), "default", r.in.ID, postdate.Pause{Note: "n"}) },
		"skipped":   func(r *recurring) error { return r.Skip(t.Context(), "default", r.in.ID) },
		"cancelled": func(r *recurring) error { return r.Cancel(t.Context(), "default", r.in.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now().UTC().Add(12 * time.Second).Truncate(time.Second)
			r := recur(t, `{"every":"1h","start_at":"`+start.Format(time.RFC3339)+`"}`, accepted)
			id := protocol.RecurrenceID("default", r.in.ID)
			var runs []string
			eventually.True(t, func() bool {
				runs = historytest.Runs(t, engineClient, id)
				return len(runs) == 2
			})
			require.NoError(t, change(r))
			if name == "paused" {
				historytest.Record(t, engineClient, "recurrence/started-ahead", id, runs[0])
			}
			eventually.True(t, func() bool {
				described, err := engineClient.DescribeWorkflowExecution(t.Context(), id, runs[1])
				require.NoError(t, err)
				return described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
			})
			historytest.Record(t, engineClient, "recurrence/withdrawn-"+name, id, runs[1])
		})
	}
}

func TestRecurrenceFired(t *testing.T) {
	t.Parallel()
	r := recur(t, yearly, accepted)
	_, err := r.FireNow(t.Context(), "default", r.in.ID)
	require.NoError(t, err)
	r.continues()
}

func TestRecurrencePatched(t *testing.T) {
	t.Parallel()
	r := recur(t, yearly, accepted)
	entity := "customer_42"
	require.NoError(t, r.Patch(t.Context(), "default", r.in.ID, protocol.PatchRecurrence{Entity: &entity}))
	r.continues()
}

func TestRecurrenceBackfilled(t *testing.T) {
	t.Parallel()
	r := recur(t, `{"every":"1h","start_at":"2026-01-01T00:00:00Z"}`, accepted)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r.receive(accepted, postdate.TickID(r.in.ID, start))
	done, err := r.BackfillRange(t.Context(), "default", r.in.ID, protocol.Backfill{From: start, To: start})
	require.NoError(t, err)
	require.Len(t, done.Started, 1)
	r.continues()
}

func TestRecurrenceCancelled(t *testing.T) {
	t.Parallel()
	r := recur(t, yearly, accepted)
	require.NoError(t, r.Cancel(t.Context(), "default", r.in.ID))
	r.continues()
}

func TestRecurrenceCancelledByTheEngine(t *testing.T) {
	t.Parallel()
	r := recur(t, yearly, accepted)
	require.NoError(t, engineClient.CancelWorkflow(t.Context(), protocol.RecurrenceID("default", r.in.ID), ""))
	r.continues()
}

func TestRecurrenceStoppedByTheReceiver(t *testing.T) {
	t.Parallel()
	stopping := accepted
	stopping.StopRecurrence = true
	r := recur(t, `{"every":"5s"}`, stopping)
	var read postdate.RecurringSchedule
	eventually.True(t, func() bool {
		var err error
		read, err = r.Get(t.Context(), "default", r.in.ID)
		require.NoError(t, err)
		return read.State == postdate.RecurrenceEnded
	}, "%+v", &read.Last)
	id := protocol.RecurrenceID("default", r.in.ID)
	runs := historytest.Runs(t, engineClient, id)
	historytest.Record(t, engineClient, "recurrence/stopped-by-the-receiver", id, runs[len(runs)-1])
	delivery := protocol.DeliveryID("default", read.Last[len(read.Last)-1].DeliveryID)
	_ = engineClient.GetWorkflow(t.Context(), delivery, "").Get(t.Context(), nil)
	historytest.Record(t, engineClient, "deliver/tick-that-stops-its-recurrence", delivery, "")
}

// TestLocalTimeFollowed wakes before a local time is due, and sleeps on until it is.
func TestLocalTimeFollowed(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, answers(postdate.Accepted, 200), func(in *protocol.DeliverInput) {
		local, err := postdate.ParseLocalTime("2031-03-01T09:00:00")
		require.NoError(t, err)
		in.Local = &postdate.LocalDue{Local: local, TimeZone: "America/Sao_Paulo"}
	})
	eventually.True(t, func() bool { return d.latestRun() != d.run.GetRunID() })
	// It was started for another instant, as by the law of another day.
	due := time.Date(2031, 3, 1, 12, 0, 0, 0, time.UTC)
	d.requireAsleepUntil(due.Add(-protocol.LawLead))
	record(t, d)
}
