package postdate

// DST says what becomes of a local time that clocks skip when they go forward,
// and of one that they show twice when they go back.
type DST struct {
	Gap     Gap    `json:"gap,omitempty"`
	Overlap Repeat `json:"overlap,omitempty"`
}

// Gap says what becomes of a local time that clocks skip.
type Gap string

// The default is [GapShift].
const (
	// GapShift moves it by as much as the clocks: 02:30 becomes 03:30 where they
	// go from 02:00 to 03:00. So does RFC 5545.
	GapShift Gap = "shift"
	// GapSkip leaves that tick of a recurrence out.
	GapSkip Gap = "skip"
	// GapRefuse refuses the local time of a schedule that is due once.
	GapRefuse Gap = "refuse"
)

// Repeat says which instant is meant by a local time that clocks show twice.
type Repeat string

// The default is [RepeatFirst], and [RepeatBoth] for recurrences that are due in
// every hour: there, the hour that comes twice is two hours.
const (
	RepeatFirst  Repeat = "first"
	RepeatSecond Repeat = "second" // only of a schedule that is due once
	RepeatBoth   Repeat = "both"   // only of a recurrence
)

// ValidateRecurring reports the first rule that d, of a recurrence, breaks.
func (d DST) ValidateRecurring(pointer string) error {
	switch d.Gap {
	case "", GapShift, GapSkip:
	default:
		return Errorf(Invalid, pointer+"/gap", "must be shift or skip")
	}
	switch d.Overlap {
	case "", RepeatFirst, RepeatBoth:
	default:
		return Errorf(Invalid, pointer+"/overlap", "must be first or both")
	}
	return nil
}

// ValidateOnce reports the first rule that d, of a schedule that is due once,
// breaks.
func (d DST) ValidateOnce(pointer string) error {
	switch d.Gap {
	case "", GapShift, GapRefuse:
	default:
		return Errorf(Invalid, pointer+"/gap", "must be shift or refuse")
	}
	switch d.Overlap {
	case "", RepeatFirst, RepeatSecond:
	default:
		return Errorf(Invalid, pointer+"/overlap", "must be first or second")
	}
	return nil
}
