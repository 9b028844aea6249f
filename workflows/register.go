package workflows

import "go.temporal.io/sdk/workflow"

// Registry is what workflows are registered with: a worker, or a replayer.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers the workflows that wait on [TaskQueue], under the names by
// which the engine knows them.
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(Deliver, workflow.RegisterOptions{Name: DeliverName})
	r.RegisterWorkflowWithOptions(Dispatch, workflow.RegisterOptions{Name: DispatchName})
	r.RegisterWorkflowWithOptions(Line, workflow.RegisterOptions{Name: LineName})
}

// RegisterControl registers those that wait on [ControlQueue].
func RegisterControl(r Registry) {
	r.RegisterWorkflowWithOptions(TenantWorkflow, workflow.RegisterOptions{Name: TenantName})
	r.RegisterWorkflowWithOptions(Sweep, workflow.RegisterOptions{Name: SweepName})
	r.RegisterWorkflowWithOptions(EndpointWorkflow, workflow.RegisterOptions{Name: EndpointName})
}
