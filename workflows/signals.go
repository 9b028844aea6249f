package workflows

import "go.temporal.io/sdk/workflow"

// drainSignals yields once, so that signal handlers process everything delivered with
// this workflow task. A run that ends without that would lose it: a task wakes the
// workflow function first.
func drainSignals(ctx workflow.Context) {
	drained := false
	workflow.Go(ctx, func(workflow.Context) { drained = true }) // runs after the handlers
	_ = workflow.Await(ctx, func() bool { return drained })
}
