package calendar

// every is instants at a fixed distance in elapsed time, in Unix seconds.
type every struct {
	zone        zone
	start, step int64
	off         daysOff
}

// instant is the first one later than after, counting no days off.
func (e every) instant(after int64) int64 {
	if after < e.start {
		return e.start
	}
	return e.start + (floorDiv(after-e.start, e.step)+1)*e.step
}

// working is the first instant later than after, and not later than until, whose
// local date is no day off.
func (e every) working(after, until int64) (int64, bool) {
	for after < until {
		at := e.instant(after)
		here := e.zone.spanAt(at)
		today := wall(at + here.offset).day()
		if !e.off.has(today) {
			return at, at <= until
		}
		// Go on at the end of the day, or where the clocks change before.
		after = max(at, min(int64(today.last())-here.offset, here.end-1))
	}
	return 0, false
}

// next makes e a sequence of the local times that clocks show at its instants.
func (e every) next(after, until wall) (wall, bool) {
	here := e.zone.spanAt(int64(after) - farthest)
	best, found := until, false
	for here.start == never || here.start-farthest <= int64(best) {
		from := max(int64(after)-here.offset, here.start-1)
		if at := e.instant(from); at < here.end {
			if w := wall(at + here.offset); w <= best {
				best, found = w, true
			}
		}
		if here.end == forever {
			break
		}
		here = e.zone.spanAt(here.end)
	}
	return best, found
}
