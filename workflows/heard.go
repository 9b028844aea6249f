package workflows

import "go.temporal.io/sdk/workflow"

// drainSignals has those who listen hear what came with the task that is under way. It
// would be lost with a run that ends there: a task wakes the workflow itself first.
func drainSignals(ctx workflow.Context) {
	all := false
	workflow.Go(ctx, func(workflow.Context) { all = true }) // its turn comes after theirs
	_ = workflow.Await(ctx, func() bool { return all })
}
