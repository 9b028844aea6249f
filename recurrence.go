package postdate

import (
	"regexp"
	"time"
)

const (
	maxRuleLength  = 1024
	maxExceptions  = 500
	maxZoneLength  = 64
	minEvery       = time.Second
	recurrenceRoot = "/recurrence"
)

// Recurrence says when a schedule is due again and again: by one of Cron, Every
// and RRule. What a pointer leaves open is nil, so that 0 and "" can be refused.
type Recurrence struct {
	// Cron is five fields of a crontab, or one of its names such as "@daily".
	Cron *string `json:"cron,omitempty"`
	// Every is elapsed time, counted from StartAt: "24h" is 24 hours also on the
	// day on which clocks change.
	Every *Duration `json:"every,omitempty"`
	// RRule is a rule of RFC 5545 without its DTSTART, which is StartAt.
	RRule *string `json:"rrule,omitempty"`

	// TimeZone is an IANA name. nil: UTC.
	TimeZone *string `json:"time_zone,omitempty"`
	// StartAt is the first moment at which a tick may fall, and EndAt the last.
	StartAt *time.Time `json:"start_at,omitempty"`
	EndAt   *time.Time `json:"end_at,omitempty"`
	// Limit bounds the number of ticks.
	Limit *int `json:"limit,omitempty"`

	// Except lists local dates on which nothing is due, and Shift says what
	// becomes of the ticks that fall there. Default: [ShiftSkip].
	Except Except `json:"except,omitempty"`
	Shift  Shift  `json:"shift,omitempty"`
	// DST says what becomes of local times that clocks skip or show twice.
	DST *DST `json:"dst,omitempty"`

	// Spread delays each tick's delivery by a part of it, not the tick.
	Spread *Duration `json:"spread,omitempty"`
	// Overlap says what a tick does while an earlier one's delivery is under
	// way. Default: [OverlapAllow].
	Overlap Overlap  `json:"overlap,omitempty"`
	CatchUp *CatchUp `json:"catch_up,omitempty"`
}

// Shift says what becomes of a tick on an excepted date.
type Shift string

// A tick that is moved keeps its local time of day.
const (
	ShiftSkip     Shift = "skip"     // there is none
	ShiftNext     Shift = "next"     // it moves to the next date that is not excepted
	ShiftPrevious Shift = "previous" // it moves to the last such date before
)

// Overlap says what a tick does while an earlier one's delivery is under way.
type Overlap string

// The policies are named as Temporal's schedules name theirs.
const (
	OverlapAllow       Overlap = "allow"        // every tick is its own delivery
	OverlapSkip        Overlap = "skip"         // it is left out
	OverlapBufferOne   Overlap = "buffer_one"   // it waits for the earlier one; further ones are left out
	OverlapCancelOther Overlap = "cancel_other" // it cancels the earlier one
)

// Tick is one time at which a recurrence is due.
type Tick struct {
	Moment
	// Number counts the ticks of a recurrence from 1.
	Number int `json:"number"`
}

// Moment is an instant and what clocks show then in the time zone it was asked
// for in.
type Moment struct {
	// DueAt is the nominal time, in UTC and whole seconds: a spread or a late
	// start does not change it.
	DueAt time.Time `json:"due_at"`
	Local LocalTime `json:"local"`
	// Offset is how far Local is ahead of UTC, as "-03:00".
	Offset string `json:"offset"`
	// Note says what was moved, and why. Empty: nothing was.
	Note string `json:"note,omitempty"`
}

// Zone is the name of r's time zone.
func (r Recurrence) Zone() string {
	if r.TimeZone == nil {
		return time.UTC.String()
	}
	return *r.TimeZone
}

// Starting is r with StartAt filled in where it is open: an interval and a rule
// of RFC 5545 are counted from it.
func (r Recurrence) Starting(now time.Time) Recurrence {
	if r.StartAt == nil {
		start := wholeSecond(now.UTC())
		r.StartAt = &start
	}
	return r
}

// wholeSecond is the first whole second that is not before t.
func wholeSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Equal(t) {
		return whole
	}
	return t.Truncate(time.Second).Add(time.Second)
}

// Validate reports the first rule that r breaks of those that can be judged
// without knowing time zones, calendars and the grammar of Cron and RRule.
func (r Recurrence) Validate() error {
	for _, validate := range []func() error{
		r.validateRule, r.validateBounds, r.validateExcept, r.validateDST, r.validateDeliveries,
	} {
		if err := validate(); err != nil {
			return err
		}
	}
	return nil
}

func (r Recurrence) validateRule() error {
	switch {
	case r.Cron == nil && r.Every == nil && r.RRule == nil:
		return Errorf(Invalid, recurrenceRoot, "needs one of cron, every and rrule")
	case r.Cron != nil && (r.Every != nil || r.RRule != nil), r.Every != nil && r.RRule != nil:
		return Errorf(Invalid, recurrenceRoot, "cron, every and rrule exclude each other")
	case r.Cron != nil:
		return validateRuleLength("/cron", *r.Cron)
	case r.RRule != nil:
		return validateRuleLength("/rrule", *r.RRule)
	}
	switch every := r.Every.Duration(); {
	case every < minEvery || every > MaxDelay:
		return Errorf(Invalid, recurrenceRoot+"/every", "from 1 second to 100 years")
	case every%time.Second != 0:
		return Errorf(Invalid, recurrenceRoot+"/every", "ticks fall on whole seconds: leave out the fraction of one")
	}
	return nil
}

func validateRuleLength(field, rule string) error {
	if rule == "" || len(rule) > maxRuleLength {
		return Errorf(Invalid, recurrenceRoot+field, "must be 1 to %d characters", maxRuleLength)
	}
	return nil
}

var zonePattern = regexp.MustCompile(`^[A-Za-z0-9_+/-]{1,64}$`)

func (r Recurrence) validateBounds() error {
	switch {
	case r.TimeZone != nil && !zonePattern.MatchString(*r.TimeZone):
		return Errorf(Invalid, recurrenceRoot+"/time_zone", "must be an IANA name such as America/Sao_Paulo, of at most %d characters", maxZoneLength)
	case r.StartAt != nil && r.EndAt != nil && r.EndAt.Before(*r.StartAt):
		return Errorf(Invalid, recurrenceRoot+"/end_at", "is before start_at")
	case r.Limit != nil && *r.Limit < 1:
		return Errorf(Invalid, recurrenceRoot+"/limit", "at least 1 tick")
	}
	return nil
}

func (r Recurrence) validateExcept() error {
	if err := r.Except.validate(recurrenceRoot + "/except"); err != nil {
		return err
	}
	switch r.Shift {
	case "", ShiftSkip, ShiftNext, ShiftPrevious:
	default:
		return Errorf(Invalid, recurrenceRoot+"/shift", "must be skip, next or previous")
	}
	if r.Shift != "" && len(r.Except) == 0 {
		return Errorf(Invalid, recurrenceRoot+"/shift", "says what becomes of ticks on excepted dates: give except, too")
	}
	return nil
}

func (r Recurrence) validateDST() error {
	if r.DST == nil {
		return nil
	}
	if r.Every != nil {
		return Errorf(Invalid, recurrenceRoot+"/dst", "an interval is elapsed time, which clocks do not change")
	}
	return r.DST.ValidateRecurring(recurrenceRoot + "/dst")
}

func (r Recurrence) validateDeliveries() error {
	if r.Spread != nil && (*r.Spread < 0 || r.Spread.Duration() > MaxSpread) {
		return Errorf(Invalid, recurrenceRoot+"/spread", "a spread is from 0 to %s", MaxSpread)
	}
	switch r.Overlap {
	case "", OverlapAllow, OverlapSkip, OverlapBufferOne, OverlapCancelOther:
	default:
		return Errorf(Invalid, recurrenceRoot+"/overlap", "must be allow, skip, buffer_one or cancel_other")
	}
	if r.CatchUp != nil {
		return r.CatchUp.validate(recurrenceRoot + "/catch_up")
	}
	return nil
}
