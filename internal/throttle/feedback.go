package throttle

import "time"

// Feedback is what attempts at an endpoint came to since the last time it was told.
type Feedback struct {
	Succeeded int `json:"succeeded,omitempty"`
	// Failed are those that say the endpoint is in trouble: no answer, a timeout,
	// 408, 429, 5xx. Another answer, even a refusal, is neither success nor failure.
	Failed int `json:"failed,omitempty"`
	// Slowed are those of them that ask for less: 408, 429, 503 and timeouts.
	Slowed int `json:"slowed,omitempty"`
	// Answered are all that were answered, and LatencyMS the sum of what they took.
	Answered  int   `json:"answered,omitempty"`
	LatencyMS int64 `json:"latency_ms,omitempty"`
	// Trailing is how many of the failures came after the last success.
	Trailing int `json:"trailing,omitempty"`
	// NotBefore is the latest moment until which a Retry-After asked for rest.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Attempts is how many attempts o tells of.
func (o Feedback) Attempts() int { return max(o.Answered, o.Succeeded+o.Failed) }
