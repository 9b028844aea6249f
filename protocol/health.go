package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

// DrainedAt is from plus the time that n attempts take.
func DrainedAt(from time.Time, n int, perSecond float64) time.Time {
	const longest = 100 * 365 * 24 * 3600
	return from.Add(time.Duration(min(float64(n)/perSecond, longest) * float64(time.Second)))
}

// EndpointHealth is the result of [QueryHealth], as of the last event of the execution.
type EndpointHealth struct {
	postdate.Health

	// Head are the first lines, up to the first that was not woken: which of their entries
	// still wait only they know. NextSince is since when the first line after them waits.
	Head      []HeadLine `json:"front,omitempty"`
	NextSince time.Time  `json:"behind,omitzero"`
	// DrainsAt is when the lines begin to be sent, and PerSecond how fast: 0 where that is
	// not known.
	DrainsAt  time.Time `json:"drains_at,omitzero"`
	PerSecond float64   `json:"per_second,omitempty"`
}

// HeadLine is one of the first lines, and how many of its entries wait as far as is known.
type HeadLine struct {
	ID      string `json:"id"`
	Waiting int    `json:"waiting"`
}

// Drained is when none of so many waiting deliveries will wait any more, as estimated at
// now: zero where that is not known.
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
