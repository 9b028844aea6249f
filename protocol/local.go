package protocol

import (
	"time"
)

// LocalTimeActivity is the activity that finds the instant of a local time.
const LocalTimeActivity = "LocalTime"

// LawLead is how long before a local time is due its execution wakes to work out the
// instant again. No change of clocks is as large, so a law that is known by then is kept
// to.
const LawLead = 26 * time.Hour

// WakeAt is when an execution wakes for what is due at a time that depends on the law of a
// time zone: at that time, or LawLead before, where it is further ahead.
func WakeAt(due, now time.Time) time.Time {
	if early := due.Add(-LawLead); early.Sub(now) > time.Hour {
		return early
	}
	return due
}

// WakeAt is when the execution of in, which waits at now, is to wake: when it is due, or
// before, to work out when a local time is due by the law of that day.
func (in DeliverInput) WakeAt(now time.Time) time.Time {
	if in.Fired {
		return now
	}
	if in.Local == nil {
		return in.Shipment.DueAt
	}
	return WakeAt(in.Shipment.DueAt, now)
}
