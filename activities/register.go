package activities

import "go.temporal.io/sdk/activity"

// Registry is what activities are registered with: a worker, or a test that lists them.
type Registry interface {
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}

// Register registers all activities under the names that histories record. They are
// named one by one, not by reflection: a renamed method must not become another
// activity, which executions that sleep for years would ask for in vain.
func (a *Activities) Register(r Registry) {
	a.RegisterControl(r)
	register(r, SendName, a.Send)
	register(r, RetryName, a.Retry)
	register(r, RecallName, a.Recall)
	register(r, SendGroupName, a.SendGroup)
	register(r, HandOverName, a.HandOver)
	register(r, QueueName, a.Queue)
	register(r, SendLineName, a.SendLine)
	register(r, JoinLineName, a.JoinLine)
	register(r, LeaveLineName, a.LeaveLine)
	register(r, SupersedeName, a.Supersede)
}

// RegisterControl registers those that the control queue needs.
func (a *Activities) RegisterControl(r Registry) {
	register(r, AnnounceName, a.Announce)
	register(r, SweepName, a.SweepDeliveries)
	register(r, SettingsName, a.EndpointSettings)
}

func register(r Registry, name string, f any) {
	r.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
}
