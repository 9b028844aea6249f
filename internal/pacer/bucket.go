package pacer

import (
	"time"

	"github.com/postdate/postdate"
)

// timerSlack is how much of a token may be saved up beyond the burst while
// somebody waits: timers ring late, and where the burst is 1 what is lost by that
// would be missing from the rate. It is little enough that three workers do not
// make a whole attempt of it.
const timerSlack = 0.3

// bucket holds the tokens of a rate: each attempt takes one. A share grows by
// tokens that are given, which rate.Limiter has no way to take.
type bucket struct {
	rate   float64 // a second; 0: no bound
	burst  float64
	tokens float64
	at     time.Time
}

// fill saves up what has come since.
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

// share has b go on by another share, with the tokens that come with it.
func (b *bucket) share(pace postdate.Pace, tokens float64, now time.Time, waited bool) {
	b.fill(now, waited)
	b.rate, b.burst = pace.PerSecond, float64(pace.Burst)
	b.tokens = min(b.tokens+tokens, b.burst+timerSlack)
}

// saved is how much of the burst is saved up.
func (b *bucket) saved() float64 { return min(b.tokens, b.burst) }

// epsilon is what rounding may have taken from a token.
const epsilon = 1e-6

// take takes n tokens, after fill, or tells when there will be as many.
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
