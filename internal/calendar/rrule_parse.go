package calendar

import (
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"

	"github.com/postdate/postdate"
)

const rruleField = "/recurrence/rrule"

// Where the last of COUNT falls is found by counting, so both are bounded.
const (
	maxCount     = 10_000
	countedYears = 400
)

func invalidRule(format string, args ...any) error {
	return postdate.Errorf(postdate.Invalid, rruleField, format, args...)
}

// parseRRule reads a rule that starts where the clocks c show start.
func parseRRule(text string, start wall, c clocks) (*rrule5545, error) {
	text = strings.TrimPrefix(strings.ToUpper(text), "RRULE:")
	parts, err := splitRule(text)
	if err != nil {
		return nil, err
	}
	option, err := rrule.StrToROption(text)
	if err != nil {
		return nil, invalidRule("is not a rule of RFC 5545: %v", err)
	}
	if err := validateRule(parts, option); err != nil {
		return nil, err
	}
	r := newRule(option, start)
	if err := r.bound(parts["UNTIL"], option, c); err != nil {
		return nil, err
	}
	return r, nil
}

// splitRule holds a rule to what its reader lets pass.
func splitRule(text string) (map[string]string, error) {
	parts := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		if _, twice := parts[name]; twice {
			return nil, invalidRule("%s is there twice", name)
		}
		parts[name] = value
	}
	switch {
	case strings.ContainsAny(text, "\r\n") || parts["DTSTART"] != "":
		return nil, invalidRule("write DTSTART as start_at, and nothing but one rule here")
	case parts["BYEASTER"] != "":
		return nil, invalidRule("BYEASTER is not in RFC 5545")
	}
	return parts, nil
}

// validateRule refuses what RFC 5545 does (section 3.3.10).
func validateRule(parts map[string]string, o *rrule.ROption) error {
	given := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, ok := parts[name]; return ok })
	}
	numbered := slices.ContainsFunc(o.Byweekday, func(d rrule.Weekday) bool { return d.N() != 0 })
	switch {
	case given("COUNT") && given("UNTIL"):
		return invalidRule("COUNT and UNTIL exclude each other")
	case given("COUNT") && (o.Count < 1 || o.Count > maxCount):
		return invalidRule("COUNT is from 1 to %d: use limit for more", maxCount)
	case given("INTERVAL") && o.Interval < 1:
		return invalidRule("INTERVAL is at least 1")
	case given("BYWEEKNO") && o.Freq != rrule.YEARLY:
		return invalidRule("BYWEEKNO goes with FREQ=YEARLY only")
	case given("BYWEEKNO") && !given("BYDAY"):
		return invalidRule("BYWEEKNO needs BYDAY: programs do not agree whether it means all seven days or that of start_at")
	case given("BYYEARDAY") && (o.Freq == rrule.MONTHLY || o.Freq == rrule.WEEKLY || o.Freq == rrule.DAILY):
		return invalidRule("BYYEARDAY does not go with FREQ=%s", o.Freq)
	case given("BYMONTHDAY") && o.Freq == rrule.WEEKLY:
		return invalidRule("BYMONTHDAY does not go with FREQ=WEEKLY")
	case numbered && o.Freq != rrule.YEARLY && o.Freq != rrule.MONTHLY:
		return invalidRule("a number in BYDAY goes with FREQ=MONTHLY and FREQ=YEARLY only")
	case numbered && given("BYWEEKNO"):
		return invalidRule("a number in BYDAY does not go with BYWEEKNO")
	case given("BYSETPOS") && !given("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND"):
		return invalidRule("BYSETPOS picks from what another BY part expands to: give one")
	case period(o.Freq)*float64(max(o.Interval, 1)) > postdate.MaxDelay.Seconds():
		return invalidRule("INTERVAL is more than 100 years")
	}
	return validateNumbers(parts, o)
}

// period is at least how long one interval of a frequency is, in seconds.
func period(f rrule.Frequency) float64 {
	const days = secondsPerDay
	return map[rrule.Frequency]float64{
		rrule.YEARLY: 365 * days, rrule.MONTHLY: 28 * days, rrule.WEEKLY: 7 * days, rrule.DAILY: days,
		rrule.HOURLY: 3600, rrule.MINUTELY: 60, rrule.SECONDLY: 1,
	}[f]
}

func validateNumbers(parts map[string]string, o *rrule.ROption) error {
	for _, part := range []struct {
		name        string
		values      []int
		least, most int
		fromEnd     bool // numbers below zero count from the end
	}{
		{"BYMONTH", o.Bymonth, 1, 12, false},
		{"BYWEEKNO", o.Byweekno, 1, 53, true},
		{"BYYEARDAY", o.Byyearday, 1, 366, true},
		{"BYMONTHDAY", o.Bymonthday, 1, 31, true},
		{"BYHOUR", o.Byhour, 0, 23, false},
		{"BYMINUTE", o.Byminute, 0, 59, false},
		{"BYSECOND", o.Bysecond, 0, 59, false},
		{"BYSETPOS", o.Bysetpos, 1, 366, true},
	} {
		for _, value := range part.values {
			if part.fromEnd && value < 0 {
				value = -value
			}
			if value < part.least || value > part.most {
				return invalidRule("%s is from %d to %d", part.name, part.least, part.most)
			}
		}
	}
	for _, d := range o.Byweekday {
		if n := d.N(); n < -53 || n > 53 {
			return invalidRule("a number in BYDAY is from 1 to 53 or from -53 to -1")
		}
	}
	// The reader takes "0MO" for "MO".
	for entry := range strings.SplitSeq(parts["BYDAY"], ",") {
		if number := strings.TrimRight(entry, "MOTUWEHFRSA"); number != "" && strings.Trim(number, "+-0") == "" {
			return invalidRule("a number in BYDAY is not 0")
		}
	}
	return nil
}

// newRule fills in from start what a rule leaves open.
func newRule(o *rrule.ROption, start wall) *rrule5545 {
	first := start.day().inMonth()
	r := &rrule5545{
		freq: o.Freq, interval: int64(max(o.Interval, 1)), start: start, last: lastWall,
		weekStart: weekday(o.Wkst), months: set(o.Bymonth), weekNumbers: o.Byweekno,
		monthDays: o.Bymonthday, yearDays: o.Byyearday, positions: o.Bysetpos,
		times: clock{hours: set(o.Byhour), minutes: set(o.Byminute), seconds: set(o.Bysecond)},
	}
	for _, d := range o.Byweekday {
		if d.N() == 0 {
			r.weekDays |= 1 << weekday(d)
		} else {
			r.numbered = append(r.numbered, numberedDay{weekday: weekday(d), n: d.N()})
		}
	}
	if len(o.Byweekno)+len(o.Byyearday)+len(o.Bymonthday)+len(o.Byweekday) == 0 {
		switch o.Freq {
		case rrule.YEARLY:
			r.monthDays = []int{first.day}
			if r.months == 0 {
				r.months = 1 << first.month
			}
		case rrule.MONTHLY:
			r.monthDays = []int{first.day}
		case rrule.WEEKLY:
			r.weekDays = 1 << first.weekday
		default:
		}
	}
	second := start.second()
	r.times.hours = open(r.times.hours, o.Freq >= rrule.HOURLY, second/3600, allHours)
	r.times.minutes = open(r.times.minutes, o.Freq >= rrule.MINUTELY, second/60%60, allMinutes)
	r.times.seconds = open(r.times.seconds, o.Freq >= rrule.SECONDLY, second%60, allMinutes)
	return r
}

// open is what a part of a rule that is not given means: all, where the
// frequency goes over it anyway, or what start shows.
func open(given uint64, goesOver bool, start int, all uint64) uint64 {
	switch {
	case given != 0:
		return given
	case goesOver:
		return all
	default:
		return 1 << start
	}
}

func set(values []int) uint64 {
	var s uint64
	for _, value := range values {
		s |= 1 << value
	}
	return s
}

// weekday translates the reader's, which begin on Monday.
func weekday(d rrule.Weekday) time.Weekday { return time.Weekday((d.Day() + 1) % 7) }

// bound finds the last local time of the rule, by UNTIL or by COUNT.
func (r *rrule5545) bound(until string, o *rrule.ROption, c clocks) error {
	switch {
	case until != "" && !strings.Contains(until, "T"):
		return invalidRule("UNTIL is a time, as start_at is: write %sT235959 for the end of that day", until)
	case strings.HasSuffix(until, "Z"):
		here := c.zone.spanAt(o.Until.Unix())
		before := c.zone.before(here)
		r.until = o.Until.Unix()
		r.last = wall(r.until + here.offset)
		if before.offset > here.offset {
			// Clocks went back, and had shown later local times before.
			r.last = max(r.last, wall(here.start+before.offset)-1)
		}
	case until != "":
		r.last = wall(o.Until.Unix())
	case o.Count > 0:
		return r.count(o.Count, c)
	}
	return nil
}

// count walks to the last of n local times. RFC 5545 does not count those that
// do not exist, and what except leaves out is counted.
func (r *rrule5545) count(n int, c clocks) error {
	w := r.start - 1
	end := r.start + countedYears*366*secondsPerDay
	for n > 0 {
		next, ok := r.next(w, w+horizonWalls)
		switch {
		case !ok:
			return nil
		case next > end:
			return invalidRule("COUNT reaches more than %d years: use UNTIL", countedYears)
		}
		if w = next; c.gap != postdate.GapSkip || len(c.zone.instants(w)) > 0 {
			n--
		}
	}
	r.last = w
	return nil
}

// hourly reports whether the rule goes on in every hour of its days, so that an
// hour that clocks show twice is two hours to it.
func (r *rrule5545) hourly() bool {
	unit, inDay := unitOf[r.freq]
	return r.times.hours == allHours && (!inDay || 3600%(unit*r.interval) == 0)
}
