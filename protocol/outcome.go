package protocol

import "github.com/postdate/postdate"

// The outcomes that Send returns where it made no attempt. No log of attempts holds any
// of them.
const (
	// NotEnabled: the endpoint is paused or disabled.
	NotEnabled postdate.Outcome = "held"
	// NoPermit: the endpoint takes no attempt now, nor soon.
	NoPermit postdate.Outcome = "queued"
	// EndpointDeleted: the endpoint does not exist any more.
	EndpointDeleted postdate.Outcome = "deleted"
	// TooLate: the delivery expired before the attempt began.
	TooLate postdate.Outcome = "expired"
)

// Attempted reports whether o is that of an attempt that was made.
func Attempted(o postdate.Outcome) bool {
	return o.Attempted() && o != NotEnabled && o != NoPermit && o != EndpointDeleted && o != TooLate
}

// End is the state in which o leaves its delivery, and why: Retrying where another
// attempt may succeed.
func End(o postdate.Outcome) (postdate.State, string) {
	switch o {
	case NotEnabled:
		return postdate.Parked, "the endpoint is not enabled"
	case NoPermit:
		return postdate.Waiting, "the endpoint has no permit to give just now"
	case EndpointDeleted:
		return postdate.Cancelled, "the endpoint was deleted"
	case TooLate:
		return postdate.Expired, "expired"
	default:
		return o.End()
	}
}
