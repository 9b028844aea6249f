package calendar

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the zones are in the binary, for machines that have none

	"github.com/postdate/postdate"
)

const (
	// The half of what an int64 holds, so that an offset can be added.
	forever = math.MaxInt64 / 2
	never   = math.MinInt64 / 2
	// farthest is longer than any zone's clocks are, or ever were, from UTC or
	// from what they showed before a change: Samoa skipped 24 hours.
	farthest = 26 * 60 * 60
)

// zone is the clocks of one place.
type zone struct{ *time.Location }

// LoadZone finds a time zone by its IANA name. Names that would mean another zone
// on another machine are refused, and so are those below "right/", which count
// leap seconds.
func LoadZone(name string) (*time.Location, error) {
	loc, err := time.LoadLocation(name)
	folder, _, _ := strings.Cut(name, "/")
	if err != nil || slices.Contains([]string{"", "Local", "localtime", "posixrules", "Factory", "posix", "right"}, folder) {
		return nil, postdate.Errorf(postdate.Invalid, "/time_zone", "%q is not a time zone: give an IANA name such as America/Sao_Paulo, or UTC", name)
	}
	return loc, nil
}

// span is a stretch of time in which a zone's clocks keep their offset from UTC:
// from start until before end, in Unix seconds.
type span struct{ start, end, offset int64 }

func (z zone) spanAt(unix int64) span {
	t := time.Unix(unix, 0).In(z.Location)
	_, offset := t.Zone()
	s := span{start: never, end: forever, offset: int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		s.start = start.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= unix {
		// Go takes every year for one of 365 days where a zone goes on by a rule, so
		// on 31 December of leap years the end it gives has passed.
		s.end = unix - floorMod(unix, secondsPerDay) + secondsPerDay
	}
	return s
}

// before is the span that ends where s starts; of the first one, s itself.
func (z zone) before(s span) span {
	if s.start == never {
		return s
	}
	return z.spanAt(s.start - 1)
}

// spans are those around an instant that w could be, and their predecessors.
func (z zone) spans(w wall) []span {
	s := z.spanAt(int64(w) - farthest)
	found := []span{s}
	for s.end != forever && s.end < int64(w)+farthest {
		s = z.spanAt(s.end)
		found = append(found, s)
	}
	return found
}

// instants are the Unix seconds at which clocks show w: none where they skip it,
// two where they go back over it.
func (z zone) instants(w wall) []int64 {
	var found []int64
	for _, s := range z.spans(w) {
		if at := int64(w) - s.offset; at >= s.start && at < s.end {
			found = append(found, at)
		}
	}
	return found
}

// gap is the jump of clocks that skips w: they go from one wall to the other.
// The instant is what w would have been, had the jump not come.
func (z zone) gap(w wall) (from, to wall, instant int64) {
	spans := z.spans(w)
	for i := 1; i < len(spans); i++ {
		before, after := spans[i-1], spans[i]
		from, to = wall(after.start+before.offset), wall(after.start+after.offset)
		if w >= from && w < to {
			return from, to, int64(w) - before.offset
		}
	}
	return 0, 0, 0
}

// moment describes an instant.
func (z zone) moment(unix int64, note string) postdate.Moment {
	at := time.Unix(unix, 0)
	local := at.In(z.Location)
	_, offset := local.Zone()
	return postdate.Moment{DueAt: at.UTC(), Local: postdate.LocalTimeOf(local), Offset: formatOffset(offset), Note: note}
}

// formatOffset writes "-03:00". Until about 1900, clocks kept the local mean
// time, which has seconds.
func formatOffset(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	text := fmt.Sprintf("%c%02d:%02d", sign, seconds/3600, seconds/60%60)
	if rest := seconds % 60; rest != 0 {
		text += fmt.Sprintf(":%02d", rest)
	}
	return text
}
