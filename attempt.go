package postdate

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Outcome is what an attempt came to.
type Outcome string

// The outcomes of an attempt.
const (
	// Accepted: 2xx, or the broker's word that it has stored the message.
	Accepted Outcome = "accepted"
	// Rescheduled: 2xx with postdate-reschedule. The same message is sent again, then.
	Rescheduled Outcome = "rescheduled"
	// Failed: anything that another attempt may mend.
	Failed Outcome = "failed"
	// Aborted: the receiver said "webhook-delivery: abort-message", or "abort".
	Aborted Outcome = "aborted"
	// Gone: 410, or "webhook-delivery: disable". The receiver wants nothing any more.
	Gone Outcome = "gone"
	// Refused: the message can never be sent there. It is too large for the broker.
	Refused Outcome = "refused"
)

// Attempted reports whether an attempt was made: the zero outcome means that none
// could be, for a reason of our own.
func (o Outcome) Attempted() bool { return o != "" }

// End is the state in which an attempt of outcome o leaves its delivery, and why:
// Retrying where another attempt may succeed.
func (o Outcome) End() (State, string) {
	switch o {
	case Accepted, Rescheduled:
		return Delivered, "accepted"
	case Aborted:
		return Dead, "the receiver asked to stop"
	case Gone:
		return Dead, "the receiver is gone"
	case Refused:
		return Dead, "it can never be sent there"
	case Failed:
	}
	return Retrying, "failed"
}

const (
	// MaxResponse is how many bytes of a response an attempt keeps.
	MaxResponse = 16 << 10
	// maxAttempts and maxExcerpt bound what a delivery remembers of the
	// attempts before its last one, so that its log stays far below the
	// engine's limit for one value (2 MB).
	maxAttempts = 100
	maxExcerpt  = 1 << 10
)

// Attempt is one try and what came of it.
type Attempt struct {
	// Number counts from 1, over all of a delivery's life.
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	// DurationMS is how long it took, in milliseconds.
	DurationMS int64   `json:"duration_ms"`
	Outcome    Outcome `json:"outcome"`
	// Status is the HTTP status, 0 where no answer came.
	Status int `json:"status,omitempty"`
	// Error says why no answer came, or what was wrong with the one that did. It
	// holds no part of the destination but its host, for a path may be a secret.
	Error string `json:"error,omitempty"`
	// Response is the beginning of the answer's body, at most [MaxResponse] bytes, or
	// where a broker has stored the message.
	Response string `json:"response,omitempty"`
	// Busy: a broker asked for less, as 429 does.
	Busy bool `json:"busy,omitempty"`
	// RetryAfter is how long the receiver asked to be left alone, at most [MaxRetryAfter].
	RetryAfter Duration `json:"retry_after,omitempty"`
	// Disable: the receiver asked for its endpoint to be disabled.
	Disable bool `json:"disable,omitempty"`
	// RescheduleTo is when a Rescheduled message is to be sent again.
	RescheduleTo time.Time `json:"reschedule_to,omitzero"`
	// Canary is the id of the endpoint's canary to which it went. Empty: it has none, or it
	// went to the primary.
	Canary string `json:"canary,omitempty"`
	// StopRecurrence: the receiver asked that no further tick be sent.
	StopRecurrence bool `json:"stop_recurrence,omitempty"`
}

// Excerpt is a with at most n bytes of its response.
func (a Attempt) Excerpt(n int) Attempt {
	a.Response = firstBytes(a.Response, n)
	return a
}

// Summary says in a line what came of a.
func (a Attempt) Summary() string {
	if a.Status == 0 {
		return a.Error
	}
	text := fmt.Sprintf("HTTP %d %s", a.Status, http.StatusText(a.Status))
	if a.Error != "" {
		return text + ": " + a.Error
	}
	if excerpt := strings.Join(strings.Fields(firstBytes(a.Response, 200)), " "); excerpt != "" {
		text += ": " + excerpt
	}
	return text
}

// Because says in a line what a led to, and what came of it.
func (a Attempt) Because(reason string) string {
	if summary := a.Summary(); summary != "" {
		return reason + ": " + summary
	}
	return reason
}

// Attempts is the log of a delivery, oldest first. Of a long one the oldest
// attempts are forgotten; their numbers are not given again.
type Attempts []Attempt

// Append is the log with one attempt more, which gets its number.
func (log Attempts) Append(a Attempt) Attempts {
	a.Number = log.Next()
	kept := make(Attempts, 0, len(log)+1)
	for _, earlier := range log[max(0, len(log)+1-maxAttempts):] {
		kept = append(kept, earlier.Excerpt(maxExcerpt))
	}
	return append(kept, a)
}

// Next is the number of the attempt that comes next.
func (log Attempts) Next() int {
	if len(log) == 0 {
		return 1
	}
	return log[len(log)-1].Number + 1
}

// Last is the newest attempt. The log must not be empty.
func (log Attempts) Last() Attempt { return log[len(log)-1] }

// firstBytes is the beginning of text, at most n bytes, cut between characters.
func firstBytes(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}
