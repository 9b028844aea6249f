package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

// after is from and the time that n attempts take.
func DrainedAt(from time.Time, n int, perSecond float64) time.Time {
	const longest = 100 * 365 * 24 * 3600
	return from.Add(time.Duration(min(float64(n)/perSecond, longest) * float64(time.Second)))
}

// EndpointHealth answers [QueryHealth], as of the last time that anything happened.
type EndpointHealth struct {
	postdate.Health

	// Head are the first lines, up to the first that was not called: who waits in
	// them by now they know better. Behind is since when the first after them waits.
	Head      []HeadLine `json:"front,omitempty"`
	NextSince time.Time  `json:"behind,omitzero"`
	// DrainsAt is from when on those in line are sent to, and PerSecond how many: 0
	// where nobody knows.
	DrainsAt  time.Time `json:"drains_at,omitzero"`
	PerSecond float64   `json:"per_second,omitempty"`
}

// HeadLine is one of the first lines, of which so many wait as far as is known.
type HeadLine struct {
	ID      string `json:"id"`
	Waiting int    `json:"waiting"`
}

// Drained is when none of so many will wait any more, as seen at now: zero where
// nobody knows.
func (h EndpointHealth) Drained(waiting int, now time.Time) time.Time {
	if h.PerSecond == 0 || waiting == 0 {
		return time.Time{}
	}
	return DrainedAt(later(h.DrainsAt, now), waiting, h.PerSecond).UTC()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
