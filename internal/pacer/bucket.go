package pacer

import (
	"time"

	"github.com/postdate/postdate"
)

// timerSlack is how much of a token may be saved beyond the burst while a request waits.
// Timers fire late, and with a burst of 1 the time lost would be missing from the rate. It
// is so little that three processes together do not gain a whole attempt.
const timerSlack = 0.3

// bucket holds the tokens of a rate: each attempt takes one. A lease adds tokens to it,
// which rate.Limiter has no way to take.
type bucket struct {
	rate   float64 // tokens a second; 0: no bound
	burst  float64
	tokens float64
	at     time.Time
}

// fill adds the tokens of the time that has passed.
func (b *bucket) fill(now time.Time, waited bool) {
	most := b.burst
	if waited {
		most += timerSlack
	}
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.tokens = max(b.tokens, min(b.tokens+passed*b.rate, most))
	}
	b.at = now
}

// setShare changes b's rate and burst to another share, with the tokens that come with it.
func (b *bucket) setShare(pace postdate.Pace, tokens float64, now time.Time, waited bool) {
	b.fill(now, waited)
	b.rate, b.burst = pace.PerSecond, float64(pace.Burst)
	b.tokens = min(b.tokens+tokens, b.burst+timerSlack)
}

// saved is the number of saved tokens, without the slack.
func (b *bucket) saved() float64 { return min(b.tokens, b.burst) }

// epsilon is what rounding may have taken from a token.
const epsilon = 1e-6

// take takes n tokens. Where there are fewer it takes none, and returns when there will be
// as many. It expects a filled bucket.
func (b *bucket) take(n int) (bool, time.Time) {
	missing := float64(n) - b.tokens
	switch {
	case b.rate == 0:
	case missing > epsilon:
		return false, b.at.Add(time.Duration(missing / b.rate * float64(time.Second)))
	default:
		b.tokens -= float64(n)
	}
	return true, time.Time{}
}
