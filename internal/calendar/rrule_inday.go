package calendar

import (
	"github.com/teambition/rrule-go"
)

// maxSteps bounds a search in which each step goes on to the next local time
// that the interval reaches and the rule might allow. Rules that are due at all
// need a few hundred.
const maxSteps = 200_000

// unitOf is the length of a period of these frequencies, in seconds.
var unitOf = map[rrule.Frequency]int64{rrule.HOURLY: 3600, rrule.MINUTELY: 60, rrule.SECONDLY: 1}

// nextInDay is next for frequencies of hours, minutes and seconds: their periods
// are counted from the beginning of 1970, in their unit.
func (r *rrule5545) nextInDay(after, until wall) (wall, bool) {
	unit := unitOf[r.freq]
	first := floorDiv(int64(r.start), unit)
	align := func(w wall) wall { return wall(r.aligned(first, -floorDiv(-int64(w), unit)) * unit) }

	w := align(wall(floorDiv(int64(after)+1, unit) * unit))
	for range maxSteps {
		if w > until {
			return 0, false
		}
		if !r.onDay(w.day()) {
			w = align(r.nextDay(w.day(), until).at(0))
			continue
		}
		if allowed, ok := r.allowed(w, unit); !ok {
			w = align((w.day() + 1).at(0))
			continue
		} else if allowed > w {
			w = align(allowed)
			continue
		}
		if found, ok := r.inUnit(w, unit, after); ok {
			return found, found <= until
		}
		w += wall(r.interval * unit)
	}
	return 0, false
}

// nextDay is the first day after d that the rule allows, or one past until.
func (r *rrule5545) nextDay(d day, until wall) day {
	for d++; d <= until.day() && !r.onDay(d); d++ {
	}
	return d
}

// allowed is the first local time from w on, on its day, whose hour, minute and
// second the rule allows as far as its frequency goes over them.
func (r *rrule5545) allowed(w wall, unit int64) (wall, bool) {
	set := clock{hours: r.times.hours, minutes: 1, seconds: 1}
	if unit < 3600 {
		set.minutes = r.times.minutes
	}
	if unit < 60 {
		set.seconds = r.times.seconds
	}
	second, ok := set.next(w.second())
	return w.day().at(second), ok
}

// inUnit is the first local time, later than after, in the hour, minute or second
// that begins with w.
func (r *rrule5545) inUnit(w wall, unit int64, after wall) (wall, bool) {
	set := clock{hours: 1, minutes: 1, seconds: 1}
	if unit >= 3600 {
		set.minutes = r.times.minutes
	}
	if unit >= 60 {
		set.seconds = r.times.seconds
	}
	if len(r.positions) == 0 {
		second, ok := set.next(int(max(after+1-w, 0)))
		return w + wall(second), ok
	}
	best, found := wall(0), false
	for _, position := range r.positions {
		i := position - 1
		if position < 0 {
			i = set.len() + position
		}
		if i < 0 || i >= set.len() {
			continue
		}
		if at := w + wall(set.at(i)); at > after && (!found || at < best) {
			best, found = at, true
		}
	}
	return best, found
}
