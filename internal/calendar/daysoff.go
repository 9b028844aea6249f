package calendar

import (
	"slices"
	"time"

	"github.com/postdate/postdate"
)

// daysOff is the dates on which nothing is due.
type daysOff struct {
	dates   []day // in order
	labels  map[day]string
	weekend [7]bool
}

// newDaysOff gathers the dates of except and of the calendars that it names.
func newDaysOff(except postdate.Except, calendars map[string]postdate.HolidayCalendar) (daysOff, error) {
	off := daysOff{labels: map[day]string{}}
	for _, date := range except.Dates() {
		off.labels[dayOf(date)] = ""
	}
	for _, name := range except.Calendars() {
		calendar, ok := calendars[name]
		if !ok {
			return off, postdate.Errorf(postdate.Invalid, "/recurrence/except", "there is no holiday calendar %q", name)
		}
		for _, holiday := range calendar.Dates {
			if d := dayOf(holiday.Date); off.labels[d] == "" {
				off.labels[d] = holiday.Label
			}
		}
		for _, weekday := range calendar.Weekend {
			off.weekend[time.Weekday(weekday)] = true
		}
	}
	for d := range off.labels {
		off.dates = append(off.dates, d)
	}
	slices.Sort(off.dates)
	if !slices.Contains(off.weekend[:], false) {
		return off, postdate.Errorf(postdate.Invalid, "/recurrence/except", "leaves out every day of the week")
	}
	return off, nil
}

func (o daysOff) empty() bool { return len(o.dates) == 0 && o.weekend == [7]bool{} }

func (o daysOff) has(d day) bool {
	_, listed := o.labels[d]
	return listed || o.weekend[d.weekday()]
}

// reason says why d is off.
func (o daysOff) reason(d day) string {
	text := d.date().String()
	switch label, listed := o.labels[d]; {
	case label != "":
		return text + " (" + label + ")"
	case !listed:
		return text + " (" + d.weekday().String() + ")"
	default:
		return text
	}
}

// run is days off without a gap, the first and the last.
type run struct{ first, last day }

// runFrom is the run in which the first day off lies that is not before d.
func (o daysOff) runFrom(d day) (run, bool) {
	i, _ := slices.BinarySearch(o.dates, d)
	first, found := day(0), i < len(o.dates)
	if found {
		first = o.dates[i]
	}
	for ahead := d; ahead < d+7; ahead++ {
		if o.weekend[ahead.weekday()] && (!found || ahead < first) {
			first, found = ahead, true
		}
	}
	if !found {
		return run{}, false
	}
	r := run{first: first, last: first}
	for o.has(r.first - 1) {
		r.first--
	}
	for o.has(r.last + 1) {
		r.last++
	}
	return r, true
}

// working is a sequence without what falls on days off.
type working struct {
	all sequence
	off daysOff
}

func (s working) next(after, until wall) (wall, bool) {
	for {
		w, ok := s.all.next(after, until)
		if !ok || !s.off.has(w.day()) {
			return w, ok
		}
		after = w.day().last()
	}
}

// moved is what a sequence has on days off, moved to the day that follows each
// run of them, or back to the day that precedes it.
type moved struct {
	all  sequence
	off  daysOff
	back bool
}

func (s *moved) target(r run) day {
	if s.back {
		return r.first - 1
	}
	return r.last + 1
}

func (s *moved) next(after, until wall) (wall, bool) {
	r, ok := s.off.runFrom(after.day() - 1)
	for ; ok; r, ok = s.following(r, until) {
		to := s.target(r)
		switch {
		case to > until.day():
			return 0, false
		case to < after.day():
			continue
		}
		seconds := -1 // only what is later than after, on its day
		if to == after.day() {
			seconds = after.second()
		}
		if second, ok := s.earliest(r, seconds); ok {
			return to.at(second), to.at(second) <= until
		}
	}
	return 0, false
}

// earliest is the first time of day, later than second, that s has on any day of r.
func (s *moved) earliest(r run, second int) (int, bool) {
	best := secondsPerDay
	for d := r.first; d <= r.last; d++ {
		if w, ok := s.all.next(d.at(second), min(d.last(), d.at(best)-1)); ok {
			best = w.second()
		}
	}
	return best, best < secondsPerDay
}

// following is the next run on or after the day of what s has next.
func (s *moved) following(r run, until wall) (run, bool) {
	w, ok := s.all.next(r.last.last(), until+secondsPerDay*maxRun)
	if !ok {
		return run{}, false
	}
	return s.off.runFrom(w.day())
}

// maxRun is more days than any run has.
const maxRun = 2 * 7 * (postdate.MaxHolidays + 1)

// sources are the days from which s has w.
func (s *moved) sources(w wall) []day {
	var days []day
	r, ok := s.off.runFrom(w.day() - 1)
	for ; ok && r.first <= w.day()+1; r, ok = s.off.runFrom(r.last + 1) {
		if s.target(r) != w.day() {
			continue
		}
		for d := r.first; d <= r.last; d++ {
			if has(s.all, d.at(w.second())) {
				days = append(days, d)
			}
		}
	}
	return days
}
