package protocol

import "time"

// The names of the activities. Workflows call them by name, so that a history can be
// replayed where no activities are registered.
const (
	SendActivity       = "Send"
	RetryActivity      = "Retry"
	RecallActivity     = "Recall"
	SendGroupActivity  = "SendGroup"
	StartPartsActivity = "StartParts"
	HandOverActivity   = "HandOver"
	AnnounceActivity   = "Announce"
	SweepActivity      = "SweepDeliveries"
	QueueActivity      = "Queue"
	SendLineActivity   = "SendLine"
	JoinLineActivity   = "JoinLine"
	LeaveLineActivity  = "LeaveLine"
	SupersedeActivity  = "Supersede"
	SettingsActivity   = "EndpointSettings"
	// StartDeliveriesActivity starts Delivers for schedules that leave their group.
	StartDeliveriesActivity = "StartDeliveries"
)

// HeartbeatTimeout is after how long without a heartbeat the worker of a regular activity
// counts as dead, and another continues: as soon as Temporal gives up a workflow task.
const HeartbeatTimeout = 10 * time.Second
