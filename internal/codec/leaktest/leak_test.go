package leaktest

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	querypb "go.temporal.io/api/query/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	"github.com/postdate/postdate/internal/eventually"
)

// TestEverything_ReachesTheEngineEncrypted runs all that a workflow can do, and
// looks for what was planted there in all that the engine answers and has
// written. Without the codec each of the places shows: so it was looked at.
func TestEverything_ReachesTheEngineEncrypted(t *testing.T) {
	t.Parallel()
	e := start(t)
	sealed := live(t, e.dial(t, ringOf(t, "a")), e.dial(t, nil))
	require.Empty(t, leaks(sealed.Bytes()))
	require.True(t, bytes.Contains(sealed.Bytes(), []byte("binary/encrypted")))
	require.Empty(t, leaks(e.written(t)))
	require.True(t, bytes.Contains(e.written(t), []byte("id-everything")), "these are not the engine's files")

	e = start(t)
	open := live(t, e.dial(t, nil), e.dial(t, nil))
	for _, place := range places {
		assert.Positive(t, strings.Count(open.String(), secret(place)), "nobody looked at the %s", place)
	}
	require.NotEmpty(t, leaks(e.written(t)))
}

// leaks is what text holds of what was planted, with a little of what stands after it.
func leaks(text []byte) []string {
	var found []string
	for rest := text; ; {
		at := bytes.Index(rest, []byte(planted))
		if at < 0 {
			return found
		}
		rest = rest[at:]
		found = append(found, strconv.Quote(string(rest[:min(60, len(rest))])))
		rest = rest[len(planted):]
	}
}

// raw is what the engine answers, as bytes on the wire: what anyone reads who
// has no key.
type raw struct {
	client.Client
	bytes.Buffer
	t *testing.T
}

func (r *raw) add(answer proto.Message, err error) {
	r.t.Helper()
	require.NoError(r.t, err)
	encoded, err := proto.Marshal(answer)
	require.NoError(r.t, err)
	_, _ = r.Write(encoded)
}

// run adds all that is known of a run and of those that went on from it.
func (r *raw) run(id, runID string) {
	r.t.Helper()
	for runID != "" {
		history := historyOf(r.t, r.Client, id, runID)
		r.add(history, nil)
		r.add(r.DescribeWorkflowExecution(r.t.Context(), id, runID))
		last := history.GetEvents()[len(history.GetEvents())-1]
		runID = last.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
	}
}

// childOf is the run of the child that a run has started.
func (r *raw) childOf(id, runID string) string {
	r.t.Helper()
	for _, event := range historyOf(r.t, r.Client, id, runID).GetEvents() {
		if started := event.GetChildWorkflowExecutionStartedEventAttributes(); started != nil {
			return started.GetWorkflowExecution().GetRunId()
		}
	}
	r.t.Fatal("no child was started")
	return ""
}

// query adds the answer to a query of a run.
func (r *raw) query(id, runID, kind string) {
	r.t.Helper()
	r.add(r.WorkflowService().QueryWorkflow(r.t.Context(), &workflowservice.QueryWorkflowRequest{
		Namespace: client.DefaultNamespace,
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: runID},
		Query:     &querypb.WorkflowQuery{QueryType: kind},
	}))
}

// live runs everything with c, checks that who has c's codec reads it, and
// answers what one without reads.
func live(t *testing.T, c, plain client.Client) *raw {
	t.Helper()
	ctx := t.Context()
	work(t, c)
	r := &raw{Client: plain, t: t}
	begin := func(name string, workflow any, args ...any) client.WorkflowRun {
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: "id-" + name, TaskQueue: queue, Memo: map[string]any{"memo": secret("memo")},
			StaticSummary: secret("summary"), StaticDetails: secret("details"),
		}, workflow, args...)
		require.NoError(t, err)
		return run
	}

	main := begin("everything", everything, secret("input"), false)
	require.NoError(t, c.SignalWorkflow(ctx, main.GetID(), "", "signal", secret("signal")))
	var answer string
	require.NoError(t, update(ctx, c, main.GetID(), "update", &answer))
	require.Equal(t, secret("update result"), answer)
	value, err := c.QueryWorkflow(ctx, main.GetID(), "", "query", secret("query argument"))
	require.NoError(t, err)
	require.NoError(t, value.Get(&answer))
	require.Equal(t, secret("query result"), answer)
	require.ErrorContains(t, update(ctx, c, main.GetID(), "finish", nil), secret("update failure"))
	first := main.GetRunID()
	require.NoError(t, main.Get(ctx, &answer))
	require.Equal(t, secret("result"), answer)
	r.query(main.GetID(), first, "query")
	r.query(main.GetID(), first, "__temporal_workflow_metadata")
	r.run(main.GetID(), first)
	r.run("id-everything-child", r.childOf(main.GetID(), first))

	stumbling := begin("panics", panics)
	require.NoError(t, stumbling.Get(ctx, nil))
	r.run(stumbling.GetID(), stumbling.GetRunID())

	waiting := begin("pending", pending)
	eventually.True(t, func() bool {
		described, err := c.DescribeWorkflowExecution(ctx, waiting.GetID(), "")
		return err == nil && len(described.GetPendingActivities()) == 1 && described.GetPendingActivities()[0].GetLastFailure() != nil
	})
	r.run(waiting.GetID(), waiting.GetRunID())
	require.NoError(t, c.TerminateWorkflow(ctx, waiting.GetID(), "", "", secret("termination details")))
	r.run(waiting.GetID(), waiting.GetRunID())
	r.schedule(c)
	return r
}

// schedule adds what the engine knows of a schedule made with c.
func (r *raw) schedule(c client.Client) {
	r.t.Helper()
	ctx := r.t.Context()
	handle, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: "id-schedule", Paused: true, Memo: map[string]any{"memo": secret("schedule memo")},
		Action: &client.ScheduleWorkflowAction{
			ID: "id-scheduled", TaskQueue: queue, Workflow: everything, Args: []any{secret("schedule input"), true},
			Memo: map[string]any{"memo": secret("scheduled memo")}, StaticSummary: secret("scheduled summary"),
		},
	})
	require.NoError(r.t, err)
	r.add(r.WorkflowService().DescribeSchedule(ctx, &workflowservice.DescribeScheduleRequest{
		Namespace: client.DefaultNamespace, ScheduleId: handle.GetID(),
	}))
	require.NoError(r.t, handle.Delete(ctx))
}

func update(ctx context.Context, c client.Client, id, name string, answer any) error {
	handle, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: name, Args: []any{secret("update argument")},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return handle.Get(ctx, answer)
}
