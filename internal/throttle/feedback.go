package throttle

import "time"

// Feedback sums up the attempts at an endpoint since the last report.
type Feedback struct {
	Succeeded int `json:"succeeded,omitempty"`
	// Failed counts the attempts that say that the endpoint is in trouble: no answer, a
	// timeout, 408, 429, 5xx. Any other refusal is neither success nor failure.
	Failed int `json:"failed,omitempty"`
	// Slowed counts the failures that ask for less: 408, 429, 503 and timeouts.
	Slowed int `json:"slowed,omitempty"`
	// Answered counts the attempts that got an answer, and LatencyMS is the sum of their
	// durations in milliseconds.
	Answered  int   `json:"answered,omitempty"`
	LatencyMS int64 `json:"latency_ms,omitempty"`
	// Trailing counts the failures after the last success.
	Trailing int `json:"trailing,omitempty"`
	// NotBefore is the latest moment that a Retry-After named.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Attempts is the number of attempts that f sums up.
func (f Feedback) Attempts() int { return max(f.Answered, f.Succeeded+f.Failed) }
