package leaktest

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const planted = "planted-secret"

// secret is a text planted at a place, so that a leak says where it is.
func secret(place string) string { return planted + "(" + place + ")" }

// everything hands the engine a secret by each way that a workflow has.
func everything(ctx workflow.Context, in string, again bool) (string, error) {
	workflow.SetCurrentDetails(ctx, secret("current details"))
	done := false
	err := errors.Join(
		workflow.SetQueryHandler(ctx, "query", func(string) (string, error) { return secret("query result"), nil }),
		workflow.SetUpdateHandler(ctx, "update", func(workflow.Context, string) (string, error) { return secret("update result"), nil }),
		workflow.SetUpdateHandler(ctx, "finish", func(_ workflow.Context, in string) error {
			done = true
			return temporal.NewApplicationError(secret("update failure"), "Planted", secret("update failure details"))
		}),
		workflow.UpsertMemo(ctx, map[string]any{"upserted": secret("upserted memo")}),
	)
	if err != nil || again {
		return secret("result"), err
	}

	workflow.SideEffect(ctx, func(workflow.Context) any { return secret("side effect") })
	workflow.MutableSideEffect(ctx, "id", func(workflow.Context) any { return secret("mutable side effect") },
		func(a, b any) bool { return a == b })
	workflow.GetVersion(ctx, "a change", workflow.DefaultVersion, 1)
	_ = workflow.NewTimerWithOptions(ctx, time.Millisecond, workflow.TimerOptions{Summary: secret("timer summary")}).Get(ctx, nil)

	once := temporal.RetryPolicy{MaximumAttempts: 1}
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: time.Minute, RetryPolicy: &once, Summary: secret("local activity summary"),
	})
	_ = workflow.ExecuteLocalActivity(local, succeed, secret("local activity input"), "local activity").Get(ctx, nil)
	_ = workflow.ExecuteLocalActivity(local, fail, "local activity failure").Get(ctx, nil)
	regular := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute, RetryPolicy: &once, Summary: secret("activity summary"),
	})
	_ = workflow.ExecuteActivity(regular, succeed, secret("activity input"), "activity").Get(ctx, nil)
	_ = workflow.ExecuteActivity(regular, fail, "activity failure").Get(ctx, nil)
	_ = workflow.ExecuteActivity(regular, explode).Get(ctx, nil)
	_ = workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID + "-child",
		Memo:       map[string]any{"child": secret("child memo")}, StaticSummary: secret("child summary"),
	}), child, secret("child input")).Get(ctx, nil)

	var signal string
	workflow.GetSignalChannel(ctx, "signal").Receive(ctx, &signal)
	if err := workflow.Await(ctx, func() bool { return done }); err != nil {
		return "", err
	}
	return "", workflow.NewContinueAsNewError(ctx, everything, secret("next run's input"), true)
}

// child ends in a failure with a cause.
func child(workflow.Context, string) error {
	cause := temporal.NewApplicationError(secret("cause"), "Planted", secret("cause's details"))
	return temporal.NewApplicationErrorWithCause(secret("workflow failure"), "Planted", cause, secret("workflow failure details"))
}

// pending waits for an activity whose first attempt has failed.
func pending(ctx workflow.Context) error {
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute,
	}), stumble).Get(ctx, nil)
}

var panicked sync.Map // of runs

// panics fails its first workflow task, which the engine repeats.
func panics(ctx workflow.Context) error {
	if _, again := panicked.LoadOrStore(workflow.GetInfo(ctx).WorkflowExecution.RunID, true); !again {
		panic(secret("panic of a workflow"))
	}
	return nil
}

func succeed(_ context.Context, _, what string) (string, error) { return secret(what + " result"), nil }

func fail(_ context.Context, what string) error {
	cause := errors.New(secret(what + "'s cause"))
	return temporal.NewNonRetryableApplicationError(secret(what), "Planted", cause, secret(what+"'s details"))
}

func explode(context.Context) error { panic(secret("panic of an activity")) }

func stumble(ctx context.Context) error {
	activity.RecordHeartbeat(ctx, secret("heartbeat"))
	return temporal.NewApplicationErrorWithOptions(secret("pending failure"), "Planted", temporal.ApplicationErrorOptions{
		NextRetryDelay: time.Hour, Details: []any{secret("pending failure details")},
	})
}

// asleep waits for a signal, and says what it and the first input were.
func asleep(ctx workflow.Context, in string) (string, error) {
	var signal string
	workflow.GetSignalChannel(ctx, "signal").Receive(ctx, &signal)
	var result string
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: time.Minute,
	}), succeed, "", "local").Get(ctx, &result)
	return in + " " + signal + " " + result, err
}

// places is where a secret is planted that shows as it is where nothing encrypts it.
var places = []string{
	"input", "memo", "summary", "details", "signal", "update argument", "update result", "update failure",
	"update failure details", "query result", "current details", "upserted memo", "result", "side effect",
	"timer summary", "local activity summary", "local activity result",
	"local activity failure", "local activity failure's cause", "local activity failure's details",
	"activity summary", "activity input", "activity result", "activity failure", "activity failure's cause",
	"activity failure's details", "panic of an activity", "panic of a workflow", "child memo", "child summary",
	"child input", "cause", "cause's details", "workflow failure", "workflow failure details", "next run's input",
	"heartbeat", "pending failure", "pending failure details", "termination details",
	"schedule memo", "schedule input", "scheduled memo", "scheduled summary",
}
