package protocol

// The activities, as workflows name them: by name, so that a history can be
// replayed where no activities are.
const (
	SendActivity      = "Send"
	RetryActivity     = "Retry"
	RecallActivity    = "Recall"
	SendGroupActivity = "SendGroup"
	HandOverActivity  = "HandOver"
	AnnounceActivity  = "Announce"
	SweepActivity     = "SweepDeliveries"
	QueueActivity     = "Queue"
	SendLineActivity  = "SendLine"
	JoinLineActivity  = "JoinLine"
	LeaveLineActivity = "LeaveLine"
	SupersedeActivity = "Supersede"
	SettingsActivity  = "EndpointSettings"
)
