package workflows

import "go.temporal.io/sdk/workflow"

// Registry is what workflows are registered with: a worker, or a replayer.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers every workflow under the name by which the engine knows it.
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(Deliver, workflow.RegisterOptions{Name: DeliverName})
}
