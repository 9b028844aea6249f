package protocol

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
)
