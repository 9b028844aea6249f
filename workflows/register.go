package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/protocol"
)

// Registry is what workflows are registered with: a worker, or a replayer.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers the workflows of [protocol.TaskQueue], under the names that
// histories record.
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(Deliver, workflow.RegisterOptions{Name: protocol.DeliverWorkflow})
	r.RegisterWorkflowWithOptions(Dispatch, workflow.RegisterOptions{Name: protocol.DispatchWorkflow})
	r.RegisterWorkflowWithOptions(Line, workflow.RegisterOptions{Name: protocol.LineWorkflow})
	r.RegisterWorkflowWithOptions(ScheduleGroup, workflow.RegisterOptions{Name: protocol.ScheduleGroupWorkflow})
	r.RegisterWorkflowWithOptions(Intake, workflow.RegisterOptions{Name: protocol.IntakeWorkflow})
	r.RegisterWorkflowWithOptions(Recurrence, workflow.RegisterOptions{Name: protocol.RecurrenceWorkflow})
}

// RegisterControl registers those of [protocol.ControlQueue].
func RegisterControl(r Registry) {
	r.RegisterWorkflowWithOptions(TenantWorkflow, workflow.RegisterOptions{Name: protocol.TenantWorkflow})
	r.RegisterWorkflowWithOptions(Sweep, workflow.RegisterOptions{Name: protocol.SweepWorkflow})
	r.RegisterWorkflowWithOptions(EndpointWorkflow, workflow.RegisterOptions{Name: protocol.EndpointWorkflow})
}
