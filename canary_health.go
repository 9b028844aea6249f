package postdate

import "time"

// CanaryHealth is how an endpoint's canary takes what it is sent, beside the primary and
// over the same time.
type CanaryHealth struct {
	ID    string      `json:"id"`
	State CanaryState `json:"state"`
	// Reason says why it is held or rolled back.
	Reason string `json:"reason,omitempty"`
	Mirror bool   `json:"mirror,omitempty"`
	// Share is in 1/10,000.
	Share int `json:"share"`
	// Step is the place in the plan, from 1: 0 where there is none. StepEndsAt is when that
	// is over.
	Step       int       `json:"step,omitempty"`
	StepEndsAt time.Time `json:"step_ends_at,omitzero"`
	// Since is when the time begins over which both sides are counted.
	Since    time.Time    `json:"since,omitzero"`
	Primary  CanarySide   `json:"primary"`
	Canary   CanarySide   `json:"canary"`
	Breaker  BreakerState `json:"breaker"`
	Waiting  int          `json:"waiting"`
	InFlight int          `json:"in_flight"`
}

// CanarySide is what came of the attempts at one side.
type CanarySide struct {
	Attempts  int `json:"attempts"`
	Succeeded int `json:"succeeded"`
	// SuccessRatio is nil where there were no attempts.
	SuccessRatio *float64 `json:"success_ratio,omitempty"`
	// P50MS and P99MS are how long the attempts took, in milliseconds, to within a tenth.
	P50MS *float64 `json:"p50_ms,omitempty"`
	P99MS *float64 `json:"p99_ms,omitempty"`
	// Answers counts them by class: "2xx" to "5xx", and "none".
	Answers map[string]int `json:"answers"`
}
