// Package calendar works out when recurrences and local times are due: which
// instants the ticks of a [postdate.Recurrence] are, by the law of its time zone.
//
// It is pure: a rule and the last tick decide the next one, however long ago the
// recurrence began. The one thing from outside is the zone database, which a new
// binary or a new file of the machine may change between two ticks. So inside a
// workflow its answers must be recorded, never worked out again.
//
// Local times are worked out first, as what clocks show, and become instants
// last. Libraries read the grammars of cron and of RFC 5545; nothing else of
// theirs is used, because none of them keeps to one stated rule when clocks change.
package calendar

import (
	"iter"
	"time"

	"github.com/postdate/postdate"
)

// Rule is a recurrence, ready to say when it is due. It does not change, and may
// be used by many goroutines at once.
type Rule struct {
	field  string // of the recurrence, for what is said of the rule
	clocks clocks
	// all is the local times of the rule, days off included.
	all sequence
	// elapsed is the instants of an interval; nil for local times.
	elapsed *every
	off     daysOff
	// local and moved are what is left on working days, and what comes there from
	// days off; nil: nothing.
	local sequence
	moved *moved

	start, end, until int64
	limit             int
}

const (
	// horizon bounds how far ahead a tick is looked for: what is due later cannot
	// be started, and a rule that is never due must not be searched for ever.
	horizon      = int64(postdate.MaxDelay / time.Second)
	horizonWalls = wall(horizon)
	// endOfTime is a day before the year 10000, which JSON's times cannot say.
	endOfTime = 253_402_214_400
)

// Compile reads r, whose Except may name the calendars. An error is a
// [postdate.Error] that points into r.
func Compile(r postdate.Recurrence, calendars map[string]postdate.HolidayCalendar) (*Rule, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	loc, err := LoadZone(r.Zone())
	if err != nil {
		return nil, postdate.Errorf(postdate.Invalid, "/recurrence/time_zone", "%q is not a time zone: give an IANA name such as America/Sao_Paulo, or UTC", r.Zone())
	}
	return compileIn(zone{loc}, r, calendars)
}

// Validate is Compile, and refuses what is never due.
func Validate(r postdate.Recurrence, calendars map[string]postdate.HolidayCalendar) error {
	rule, err := Compile(r, calendars)
	if err != nil {
		return err
	}
	if _, due := rule.Next(postdate.Tick{}); due {
		return nil
	}
	rule.end = endOfTime
	if _, due := rule.Next(postdate.Tick{}); due {
		return postdate.Errorf(postdate.Invalid, "/recurrence/end_at", "is before the first tick")
	}
	return postdate.Errorf(postdate.Invalid, rule.field, "is never due within 100 years of its start")
}

func compileIn(z zone, r postdate.Recurrence, calendars map[string]postdate.HolidayCalendar) (*Rule, error) {
	off, err := newDaysOff(r.Except, calendars)
	if err != nil {
		return nil, err
	}
	rule := &Rule{off: off, clocks: clocks{zone: z}, start: never, end: endOfTime, until: forever}
	if r.DST != nil {
		rule.clocks.gap, rule.clocks.repeat = r.DST.Gap, r.DST.Overlap
	}
	if r.StartAt != nil {
		rule.start = r.StartAt.Unix()
		if r.StartAt.Nanosecond() > 0 {
			rule.start++ // ticks fall on whole seconds, and none is before it
		}
	}
	if r.EndAt != nil {
		rule.end = min(r.EndAt.Unix(), endOfTime)
	}
	if r.Limit != nil {
		rule.limit = *r.Limit
	}
	if err := rule.read(r); err != nil {
		return nil, err
	}
	rule.takeOff(r)
	return rule, nil
}

// read fills in what r's one of cron, every and rrule says.
func (r *Rule) read(from postdate.Recurrence) error {
	if from.Cron == nil && from.StartAt == nil {
		return postdate.Errorf(postdate.Invalid, "/recurrence/start_at", "is needed to count from")
	}
	hourly := false
	switch {
	case from.Cron != nil:
		c, err := parseCron(*from.Cron)
		if err != nil {
			return err
		}
		r.field, r.all, hourly = cronField, c, c.hourly()
	case from.RRule != nil:
		start := wall(r.start + r.clocks.zone.spanAt(r.start).offset)
		rule, err := parseRRule(*from.RRule, start, r.clocks)
		if err != nil {
			return err
		}
		r.field, r.all, hourly = rruleField, rule, rule.hourly()
		if rule.until != 0 {
			r.until = rule.until
		}
	default:
		r.elapsed = &every{zone: r.clocks.zone, start: r.start, step: int64(from.Every.Duration() / time.Second), off: r.off}
		r.field, r.all = "/recurrence/every", r.elapsed
	}
	if r.clocks.repeat == "" {
		r.clocks.repeat = postdate.RepeatFirst
		if hourly {
			r.clocks.repeat = postdate.RepeatBoth
		}
	}
	return nil
}

// takeOff takes the ticks out of days off, and moves them where r says so.
func (r *Rule) takeOff(from postdate.Recurrence) {
	r.local = r.all
	if r.off.empty() {
		return
	}
	r.local = working{all: r.all, off: r.off}
	if from.Shift == postdate.ShiftNext || from.Shift == postdate.ShiftPrevious {
		r.moved = &moved{all: r.all, off: r.off, back: from.Shift == postdate.ShiftPrevious}
	}
}

// Next is the first tick after last, or false where there is none.
//
// The zero Tick is what comes before the first; one with nothing but DueAt stands
// for a moment. Its Number is one more than last's. Where last has its Local, a
// local time that was due is not due again because the law has changed since and
// clocks show it once more: clear Local when the recurrence's time zone changes.
func (r *Rule) Next(last postdate.Tick) (postdate.Tick, bool) {
	if r.limit > 0 && last.Number >= r.limit {
		return postdate.Tick{}, false
	}
	after := max(last.DueAt.Unix(), r.start-1)
	until := min(after+horizon, r.end)
	for {
		d, ok := r.due(after, until)
		if !ok {
			return postdate.Tick{}, false
		}
		if !r.wasDue(d, last) {
			return postdate.Tick{Number: last.Number + 1, Moment: r.clocks.zone.moment(d.at, r.note(d))}, true
		}
		after = d.at
	}
}

// Ticks are those that follow last, one after the other.
func (r *Rule) Ticks(last postdate.Tick) iter.Seq[postdate.Tick] {
	return func(yield func(postdate.Tick) bool) {
		for {
			next, ok := r.Next(last)
			if !ok || !yield(next) {
				return
			}
			last = next
		}
	}
}

// due is an instant, and what is due then: own is what the rule has, and moved
// what comes there from days off.
type due struct {
	at             int64
	own, moved     hit
	isOwn, isMoved bool
}

func (r *Rule) due(after, until int64) (due, bool) {
	var d due
	if r.elapsed != nil {
		d.own.at, d.isOwn = r.elapsed.working(after, until)
	} else {
		d.own, d.isOwn = r.clocks.next(r.local, after, min(until, r.until))
	}
	if d.isOwn {
		until = d.own.at // what is later is of no interest
	}
	if r.moved != nil {
		d.moved, d.isMoved = r.clocks.next(r.moved, after, until)
	}
	d.at = d.own.at
	if d.isMoved && (!d.isOwn || d.moved.at < d.own.at) {
		d.at, d.own, d.isOwn = d.moved.at, hit{}, false
	}
	return d, d.isOwn || d.isMoved
}

// wasDue reports whether clocks showed d's local time when last was due, by the
// law of that day. Where an hour that comes twice is due twice, that is no reason.
func (r *Rule) wasDue(d due, last postdate.Tick) bool {
	const aDay = secondsPerDay
	if r.elapsed != nil || last.Local == (postdate.LocalTime{}) || r.clocks.repeat == postdate.RepeatBoth {
		return false
	}
	shown := wall(d.at + r.clocks.zone.spanAt(d.at).offset)
	return shown <= wallOf(last.Local) && d.at-last.DueAt.Unix() < aDay
}
