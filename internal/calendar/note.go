package calendar

import (
	"fmt"
	"strings"
)

// note says what was moved to d, and why.
func (r *Rule) note(d due) string {
	notes := r.noteClocks(d.own)
	if d.isMoved {
		notes = append(notes, r.noteDaysOff(d))
		if d.moved.shown != d.own.shown || d.moved.skipped != d.own.skipped {
			notes = append(notes, r.noteClocks(d.moved)...)
		}
	}
	return strings.Join(notes, "; ")
}

// noteClocks says what clocks did to h.
func (r *Rule) noteClocks(h hit) []string {
	var notes []string
	if h.isShown {
		if all := r.clocks.zone.instants(h.shown); len(all) > 1 {
			notes = append(notes, noteRepeat(h.shown, h.at == all[0]))
		}
	}
	if h.isSkipped {
		notes = append(notes, noteGap(r.clocks.zone, h.skipped))
	}
	return notes
}

// noteDaysOff says from which days off d comes.
func (r *Rule) noteDaysOff(d due) string {
	w := d.moved.shown
	if !d.moved.isShown {
		w = d.moved.skipped
	}
	verb, plural := "moved from", "is"
	if d.isOwn {
		verb = "also for"
	}
	const most = 5
	sources := r.moved.sources(w)
	if len(sources) > 1 {
		plural = "are"
	}
	reasons := make([]string, min(most, len(sources)))
	for i := range reasons {
		reasons[i] = r.off.reason(sources[i])
	}
	text := strings.Join(reasons, ", ")
	if more := len(sources) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s %s, which %s excepted", verb, text, plural)
}
