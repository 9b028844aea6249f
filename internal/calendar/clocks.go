package calendar

import "github.com/postdate/postdate"

// clocks finds the instants of local times, and in their order: where clocks go
// back, later local times may be earlier instants.
type clocks struct {
	zone   zone
	gap    postdate.Gap
	repeat postdate.Repeat
}

// hit is an instant at which something is due: shown is the local time that
// clocks show then, and skipped one that they do not, moved there.
type hit struct {
	at             int64
	shown, skipped wall
	// isShown and isSkipped say which of them the sequence holds.
	isShown, isSkipped bool
}

// next is the first instant of s that is later than after and not later than
// until, in Unix seconds.
//
// It walks the spans in which the offset is constant. In each, the local times
// are the instants, offset; and those that were skipped at its start are offset
// as if the jump had not come.
func (c clocks) next(s sequence, after, until int64) (hit, bool) {
	for after < until {
		here := c.zone.spanAt(after + 1)
		before := c.zone.before(here)
		found, coming := c.within(here, before, s, after, until)
		if found.isShown || found.isSkipped {
			return found, found.at <= until
		}
		if here.end == forever || here.end > until {
			return hit{}, false
		}
		after = here.end - 1
		if c.zone.spanAt(here.end).offset < here.offset {
			continue // local times of this span may come again in the next
		}
		if !coming.isShown {
			return hit{}, false
		}
		after = max(after, int64(coming.shown)-farthest)
	}
	return hit{}, false
}

// within looks for the first instant in one span. Where there is none, coming
// holds the first local time after those of the span.
func (c clocks) within(here, before span, s sequence, after, until int64) (found, coming hit) {
	shownAfter := wall(after + here.offset)
	if c.repeat != postdate.RepeatBoth && before.offset > here.offset {
		// Clocks went back: what they had shown before is not due again.
		shownAfter = max(shownAfter, wall(here.start+before.offset)-1)
	}
	if w, ok := s.next(shownAfter, wall(until+farthest)); ok {
		at := int64(w) - here.offset
		coming = hit{at: at, shown: w, isShown: true}
		if at < here.end {
			found = coming
		}
	}
	if c.gap == postdate.GapSkip || before.offset >= here.offset {
		return found, coming
	}
	end := wall(here.start + here.offset)
	if w, ok := s.next(wall(after+before.offset), end-1); ok {
		switch at := int64(w) - before.offset; {
		case at >= here.end:
		case found.isShown && found.at == at:
			found.skipped, found.isSkipped = w, true
		case !found.isShown || at < found.at:
			found = hit{at: at, skipped: w, isSkipped: true}
		}
	}
	return found, coming
}
