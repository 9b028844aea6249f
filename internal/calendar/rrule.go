package calendar

import (
	"slices"
	"time"

	"github.com/teambition/rrule-go"
)

// rrule5545 is the local times of a rule of RFC 5545. Everything in it is a set
// that each local time can be held against on its own, so that looking for the
// next one costs the same years after the first.
type rrule5545 struct {
	freq     rrule.Frequency
	interval int64
	start    wall
	last     wall  // not later than this
	until    int64 // nor than this instant, unless it is 0

	weekStart   time.Weekday
	months      uint64 // 0: all
	weekNumbers []int
	yearDays    []int
	monthDays   []int
	weekDays    uint64
	numbered    []numberedDay
	positions   []int
	times       clock
}

// numberedDay is the n-th of a weekday in its month or year, from the end below 0.
type numberedDay struct {
	weekday time.Weekday
	n       int
}

const lastWall = wall(forever)

func (r *rrule5545) next(after, until wall) (wall, bool) {
	after, until = max(after, r.start-1), min(until, r.last)
	if after >= until {
		return 0, false
	}
	if r.freq >= rrule.HOURLY {
		return r.nextInDay(after, until)
	}
	// Periods are counted from year 0, or from 1970, in the unit of the frequency.
	first := r.periodOf(r.start.day())
	for i := r.aligned(first, r.periodOf((after + 1).day())); ; i += r.interval {
		begin, end := r.daysOf(i)
		if begin.at(0) > until {
			return 0, false
		}
		if w, ok := r.inPeriod(begin, end, after, until); ok {
			return w, w <= until
		}
	}
}

// aligned is the first number from i on that is a whole number of intervals
// after first.
func (r *rrule5545) aligned(first, i int64) int64 {
	return i + floorMod(first-i, r.interval)
}

func (r *rrule5545) periodOf(d day) int64 {
	switch r.freq {
	case rrule.YEARLY:
		return int64(d.inMonth().year)
	case rrule.MONTHLY:
		m := d.inMonth()
		return int64(m.year)*12 + int64(m.month-time.January)
	case rrule.WEEKLY:
		return floorDiv(int64(d)-r.weekOrigin(), 7)
	default:
		return int64(d)
	}
}

// weekOrigin is the first day from 1970-01-01, a Thursday, on which a week starts.
func (r *rrule5545) weekOrigin() int64 { return floorMod(int64(r.weekStart-time.Thursday), 7) }

// daysOf is the first day of a period and the first after it.
func (r *rrule5545) daysOf(i int64) (begin, end day) {
	first := func(year int64, month time.Month) day {
		return wall(time.Date(int(year), month, 1, 0, 0, 0, 0, time.UTC).Unix()).day()
	}
	switch r.freq {
	case rrule.YEARLY:
		return first(i, time.January), first(i+1, time.January)
	case rrule.MONTHLY:
		year, month := floorDiv(i, 12), time.January+time.Month(floorMod(i, 12))
		return first(year, month), first(year, month+1)
	case rrule.WEEKLY:
		begin = day(i*7 + r.weekOrigin())
		return begin, begin + 7
	default:
		return day(i), day(i) + 1
	}
}

// inPeriod is the first local time in the days of one period, later than after.
func (r *rrule5545) inPeriod(begin, end day, after, until wall) (wall, bool) {
	if len(r.positions) > 0 {
		return r.inPositions(begin, end, after)
	}
	from := after + 1
	for d := max(begin, from.day()); d < end && d <= until.day(); d++ {
		if !r.onDay(d) {
			continue
		}
		second := 0
		if d == from.day() {
			second = from.second()
		}
		if s, ok := r.times.next(second); ok {
			return d.at(s), true
		}
	}
	return 0, false
}

// inPositions picks from all local times of a period those that BYSETPOS says.
func (r *rrule5545) inPositions(begin, end day, after wall) (wall, bool) {
	var days []day
	for d := begin; d < end; d++ {
		if r.onDay(d) {
			days = append(days, d)
		}
	}
	times := r.times.len()
	best, found := wall(0), false
	for _, position := range r.positions {
		i := position - 1
		if position < 0 {
			i = len(days)*times + position
		}
		if i < 0 || i >= len(days)*times {
			continue
		}
		if w := days[i/times].at(r.times.at(i % times)); w > after && (!found || w < best) {
			best, found = w, true
		}
	}
	return best, found
}

// onDay holds d against all parts of the rule that say something of days. RFC
// 5545 calls them expanding or limiting by the frequency; within one period that
// is the same.
func (r *rrule5545) onDay(d day) bool {
	m := d.inMonth()
	if r.months != 0 && r.months>>m.month&1 == 0 {
		return false
	}
	if len(r.monthDays) > 0 && !contains(r.monthDays, m.day, m.length) {
		return false
	}
	if len(r.yearDays) > 0 && !contains(r.yearDays, m.yearDay, yearLength(m.year)) {
		return false
	}
	if len(r.weekNumbers) > 0 {
		week, weeks := r.week(d, m)
		if !contains(r.weekNumbers, week, weeks) {
			return false
		}
	}
	return r.onWeekday(m)
}

// contains reports whether numbers have n of so many, counted from either end.
func contains(numbers []int, n, of int) bool {
	return slices.Contains(numbers, n) || slices.Contains(numbers, n-of-1)
}

func (r *rrule5545) onWeekday(m monthDay) bool {
	if r.weekDays == 0 && len(r.numbered) == 0 {
		return true
	}
	if r.weekDays>>m.weekday&1 == 1 {
		return true
	}
	fromStart, fromEnd := m.nth()
	if r.freq == rrule.YEARLY && r.months == 0 {
		fromStart, fromEnd = (m.yearDay-1)/7+1, -(yearLength(m.year)-m.yearDay)/7-1
	}
	return slices.ContainsFunc(r.numbered, func(n numberedDay) bool {
		return n.weekday == m.weekday && (n.n == fromStart || n.n == fromEnd)
	})
}

// week is the number of d's week, and how many weeks the year has to which it
// belongs: the first has at least four days in that year.
func (r *rrule5545) week(d day, m monthDay) (week, weeks int) {
	sinceStart := day(floorMod(int64(m.weekday-r.weekStart), 7))
	middle := (d - sinceStart + 3).inMonth()
	week = (middle.yearDay-1)/7 + 1
	// The week of 28 December is the last of its year.
	december := dayOfYearEnd(middle.year) - 3
	sinceStart = day(floorMod(int64(december.weekday()-r.weekStart), 7))
	return week, ((december-sinceStart+3).inMonth().yearDay-1)/7 + 1
}

// dayOfYearEnd is 31 December.
func dayOfYearEnd(year int) day {
	return wall(time.Date(year, time.December, 31, 0, 0, 0, 0, time.UTC).Unix()).day()
}
