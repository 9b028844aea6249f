package calendar

import (
	"fmt"
	"time"

	"github.com/postdate/postdate"
)

// Resolve finds the instant of a local time in a zone by the law that this
// binary, or the machine's zone database, knows. rule says what becomes of local
// times that clocks skip or show twice. The note says what was done about it.
func Resolve(local postdate.LocalTime, zoneName string, rule postdate.DST) (postdate.Moment, error) {
	loc, err := LoadZone(zoneName)
	if err != nil {
		return postdate.Moment{}, err
	}
	return resolve(zone{loc}, wallOf(local), rule)
}

func resolve(z zone, w wall, rule postdate.DST) (postdate.Moment, error) {
	switch found := z.instants(w); {
	case len(found) == 0:
		from, to, instant := z.gap(w)
		if rule.Gap == postdate.GapRefuse {
			return postdate.Moment{}, postdate.Errorf(postdate.Invalid, "/due_at_local",
				"%s does not exist in %s: clocks go from %s to %s", w.local(), z, from.local(), to.local())
		}
		return z.moment(instant, noteGap(z, w)), nil
	case len(found) == 1:
		return z.moment(found[0], ""), nil
	case rule.Overlap == postdate.RepeatSecond:
		last := found[len(found)-1]
		return z.moment(last, noteRepeat(w, false)), nil
	default:
		return z.moment(found[0], noteRepeat(w, true)), nil
	}
}

func noteGap(z zone, w wall) string {
	from, to, instant := z.gap(w)
	return fmt.Sprintf("%s does not exist: clocks go from %s to %s, and it moves to %s",
		w.local(), from.local(), to.local(), z.moment(instant, "").Local)
}

func noteRepeat(w wall, first bool) string {
	which := "second"
	if first {
		which = "first"
	}
	return fmt.Sprintf("clocks show %s twice: this is the %s", w.local(), which)
}

// At describes an instant as clocks in a zone show it.
func At(instant time.Time, zoneName string) (postdate.Moment, error) {
	loc, err := LoadZone(zoneName)
	if err != nil {
		return postdate.Moment{}, err
	}
	return zone{loc}.moment(instant.Unix(), ""), nil
}
