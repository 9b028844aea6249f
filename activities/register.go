package activities

import (
	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate/protocol"
)

// Registry is what activities are registered with: a worker, or a test that lists them.
type Registry interface {
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}

// Register registers all activities under the names that histories record. They are
// named one by one, not by reflection: renaming a method must not rename its activity,
// which executions that sleep for years will call.
func (a *Activities) Register(r Registry) {
	a.RegisterControl(r)
	register(r, protocol.SendActivity, heartbeating(a.Send))
	register(r, protocol.RetryActivity, a.Retry)
	register(r, protocol.RecallActivity, a.Recall)
	register(r, protocol.SendGroupActivity, heartbeating(a.SendGroup))
	register(r, protocol.StartDeliveriesActivity, heartbeatingOnly(a.StartDeliveries))
	register(r, protocol.HandOverActivity, heartbeatingOnly(a.HandOver))
	register(r, protocol.StartPartsActivity, heartbeatingOnly(a.StartParts))
	register(r, protocol.QueueActivity, heartbeating(a.Enqueue))
	register(r, protocol.SendLineActivity, a.SendLine)
	register(r, protocol.JoinLineActivity, heartbeatingOnly(a.JoinLine))
	register(r, protocol.LeaveLineActivity, heartbeatingOnly(a.LeaveLine))
	register(r, protocol.SupersedeActivity, heartbeatingOnly(a.Supersede))
	register(r, protocol.StartIntakeActivity, heartbeating(a.StartIntake))
	a.registerRecurrence(r)
}

// RegisterControl registers the activities of [protocol.ControlQueue].
func (a *Activities) RegisterControl(r Registry) {
	register(r, protocol.AnnounceActivity, heartbeatingOnly(a.Announce))
	register(r, protocol.SweepActivity, a.SweepDeliveries)
	register(r, protocol.SettingsActivity, a.EndpointSettings)
	register(r, protocol.SignalEndpointActivity, a.SignalEndpoint)
	register(r, protocol.ChangeCanaryActivity, a.ChangeCanary)
}

// RegisterOperations registers the activities of [protocol.OperationQueue].
func (a *Activities) RegisterOperations(r Registry) {
	register(r, protocol.SweepActivity, a.SweepDeliveries)
}

func register(r Registry, name string, f any) {
	r.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
}
