package calendar

import (
	"time"

	"github.com/postdate/postdate"
)

// wall is what a clock on a wall shows, as the seconds since it showed the
// beginning of 1970. It knows no time zone: what clocks skip are walls, too.
type wall int64

const secondsPerDay = 24 * 60 * 60

// day counts the days since 1970-01-01 on the same clock.
type day int64

func (w wall) day() day { return day(floorDiv(int64(w), secondsPerDay)) }

// second is how many seconds of its day have passed.
func (w wall) second() int { return int(int64(w) - int64(w.day())*secondsPerDay) }

func (w wall) local() postdate.LocalTime { return postdate.LocalTimeOf(w.utc()) }

func (w wall) utc() time.Time { return time.Unix(int64(w), 0).UTC() }

func wallOf(l postdate.LocalTime) wall { return wall(l.UTC().Unix()) }

// at is the wall on d after so many seconds.
func (d day) at(second int) wall { return wall(int64(d)*secondsPerDay + int64(second)) }

// last is the last wall on d.
func (d day) last() wall { return d.at(secondsPerDay - 1) }

func (d day) date() postdate.Date { return d.at(0).local().Date }

func (d day) weekday() time.Weekday {
	const thursday = int64(time.Thursday) // 1970-01-01
	return time.Weekday(floorMod(int64(d)+thursday, 7))
}

func dayOf(date postdate.Date) day { return wall(date.UTC().Unix()).day() }

// monthDay is a day in its month.
type monthDay struct {
	year, day int
	month     time.Month
	length    int // of the month, in days
	weekday   time.Weekday
	yearDay   int
}

func (d day) inMonth() monthDay {
	t := d.at(0).utc()
	m := monthDay{yearDay: t.YearDay(), weekday: t.Weekday()}
	m.year, m.month, m.day = t.Date()
	m.length = monthLength(m.year, m.month)
	return m
}

// ofMonth is the weekday of another day in m's month.
func (m monthDay) ofMonth(other int) time.Weekday {
	return time.Weekday(floorMod(int64(m.weekday)+int64(other-m.day), 7))
}

// nth is the how-many-th of its weekday m is in its month, from the beginning
// and, below zero, from the end.
func (m monthDay) nth() (fromStart, fromEnd int) {
	return (m.day-1)/7 + 1, -(m.length-m.day)/7 - 1
}

func monthLength(year int, month time.Month) int {
	switch month {
	case time.February:
		if leap(year) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	default:
		return 31
	}
}

func yearLength(year int) int {
	if leap(year) {
		return 366
	}
	return 365
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// sequence is local times in ascending order.
type sequence interface {
	// next is the first that is later than after and not later than until.
	next(after, until wall) (wall, bool)
}

// has reports whether w is one of s.
func has(s sequence, w wall) bool {
	_, ok := s.next(w-1, w)
	return ok
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
