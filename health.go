package postdate

import "time"

// Health is how an endpoint takes what it is sent, over all workers.
type Health struct {
	State EndpointState `json:"state,omitempty"`
	// Breaker is closed where it is sent to as usual.
	Breaker BreakerState `json:"breaker"`
	// BreakerUntil is when an open breaker lets a probe through.
	BreakerUntil time.Time `json:"breaker_until,omitzero"`
	// NotBefore is until when a Retry-After holds: nothing is sent before.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Reason says why it is slowed down or not sent to.
	Reason string `json:"reason,omitempty"`

	// Limit is what it is sent at most, and Pace what it is sent at most now.
	Limit Pace `json:"limit"`
	Pace  Pace `json:"pace"`

	// InFlight is how many attempts were under way when the workers reported last.
	InFlight int `json:"in_flight"`
	// Leased is how many messages consumers of a queue to pull from have leased.
	Leased int `json:"leased,omitempty"`
	// Waiting is how many deliveries wait for their turn, and OldestWaiting since
	// when the first of them does.
	Waiting       int       `json:"waiting"`
	OldestWaiting time.Time `json:"oldest_waiting,omitzero"`
	// DrainedAt is when none will wait any more at this pace, if none came.
	DrainedAt time.Time `json:"drained_at,omitzero"`
	// Coalescing is "full" where so many entities and types wait that the messages of
	// further ones are not coalesced.
	Coalescing string `json:"coalescing,omitempty"`
	// Overloaded: some that wait will expire before their turn, or the last one's
	// is more than a day away.
	Overloaded bool `json:"overloaded"`

	// LatencyMS is how long an attempt takes lately, in milliseconds, and
	// SuccessRatio the part of them that were accepted: from 0 to 1. Both are nil
	// where nothing is known.
	LatencyMS    *float64 `json:"latency_ms,omitempty"`
	SuccessRatio *float64 `json:"success_ratio,omitempty"`
	// AsOf is when workers reported last.
	AsOf time.Time `json:"as_of,omitzero"`
	// Canary compares it with its canary. Nil: it has none.
	Canary *CanaryHealth `json:"canary,omitempty"`
}

// BreakerState is whether an endpoint's circuit breaker lets attempts through.
type BreakerState string

// The states of a breaker.
const (
	BreakerClosed   BreakerState = "closed"    // as usual
	BreakerOpen     BreakerState = "open"      // nothing is sent
	BreakerHalfOpen BreakerState = "half_open" // one probe at a time
)
