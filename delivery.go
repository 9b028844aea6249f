package postdate

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// State is where a delivery stands.
type State string

// The states of a delivery. The last four are its ends.
const (
	Scheduled State = "scheduled" // sleeps until it is due
	Waiting   State = "waiting"   // due: waits for its turn at an endpoint that has its own pace
	Sending   State = "sending"   // due: an attempt is being made, or about to be
	Retrying  State = "retrying"  // an attempt failed; another follows
	Parked    State = "parked"    // held for an endpoint that is paused or disabled
	Delivered State = "delivered" // the receiver answered 2xx
	Dead      State = "dead"      // given up; can be retried
	Cancelled State = "cancelled" // somebody cancelled it in time
	Expired   State = "expired"   // its expires_at came first
)

// States lists every state, in the order of a delivery's life.
var States = []State{Scheduled, Waiting, Sending, Retrying, Parked, Delivered, Dead, Cancelled, Expired}

// Over tells whether nothing more will happen to a delivery in state s.
func (s State) Over() bool {
	return s == Delivered || s == Dead || s == Cancelled || s == Expired
}

// Outcome is what an attempt came to.
type Outcome string

// The outcomes of an attempt.
const (
	// Accepted: 2xx.
	Accepted Outcome = "accepted"
	// Rescheduled: 2xx with postdate-reschedule. The same message is sent again, then.
	Rescheduled Outcome = "rescheduled"
	// Failed: anything that another attempt may mend.
	Failed Outcome = "failed"
	// Aborted: the receiver said "webhook-delivery: abort-message", or "abort".
	Aborted Outcome = "aborted"
	// Gone: 410, or "webhook-delivery: disable". The receiver wants nothing any more.
	Gone Outcome = "gone"

	// Held: no attempt was made, for the endpoint is paused or disabled. It
	// stands in no log.
	Held Outcome = "held"
	// Queued: no attempt was made, for the endpoint has no turn to give just now.
	Queued Outcome = "queued"
	// Deleted: no attempt was made, for the endpoint does not exist any more.
	Deleted Outcome = "deleted"
)

// Made tells whether o is that of an attempt which was made: the zero outcome is
// not, for a reason of our own.
func (o Outcome) Made() bool { return o != "" && o != Held && o != Queued && o != Deleted }

// End is the state in which an attempt of outcome o leaves its delivery, and why:
// Retrying where another attempt may mend it.
func (o Outcome) End() (State, string) {
	switch o {
	case Accepted, Rescheduled:
		return Delivered, "accepted"
	case Aborted:
		return Dead, "the receiver asked to stop"
	case Gone:
		return Dead, "the receiver is gone"
	case Held:
		return Parked, "the endpoint is not enabled"
	case Queued:
		return Waiting, "the endpoint has no turn to give just now"
	case Deleted:
		return Cancelled, "the endpoint was deleted"
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
	// Response is the beginning of the answer's body: at most [MaxResponse] bytes.
	Response string `json:"response,omitempty"`
	// RetryAfter is how long the receiver asked to be left alone, at most [MaxRetryAfter].
	RetryAfter Duration `json:"retry_after,omitempty"`
	// Disable: the receiver asked for its endpoint to be disabled.
	Disable bool `json:"disable,omitempty"`
	// RescheduleTo is when a Rescheduled message is to be sent again.
	RescheduleTo time.Time `json:"reschedule_to,omitzero"`
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

// With is the log with one attempt more, which gets its number.
func (log Attempts) With(a Attempt) Attempts {
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

// Filter says which deliveries are meant. What is empty or nil is not asked for.
type Filter struct {
	Tenant   string `json:"tenant"`
	State    State  `json:"state,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Entity   string `json:"entity,omitempty"`
	Type     string `json:"type,omitempty"`
	// SchedulesOnly leaves out the deliveries of events.
	SchedulesOnly bool       `json:"schedules_only,omitempty"`
	DueBefore     *time.Time `json:"due_before,omitempty"`
	DueAfter      *time.Time `json:"due_after,omitempty"`
	// AcceptedBefore leaves out what was accepted later.
	AcceptedBefore *time.Time `json:"accepted_before,omitempty"`
}

// Narrows reports whether f means less than all of the tenant's deliveries.
func (f Filter) Narrows() bool {
	return f.State != "" || f.Endpoint != "" || f.Entity != "" || f.Type != "" || f.DueBefore != nil || f.DueAfter != nil
}

// Validate reports the first value of f that no delivery can have.
func (f Filter) Validate() error {
	for _, field := range []struct {
		pointer, value string
		validate       func(pointer, value string) error
	}{
		{"/endpoint", f.Endpoint, validateName}, {"/entity", f.Entity, validateName}, {"/type", f.Type, validateType},
	} {
		if field.value == "" {
			continue
		}
		if err := field.validate(field.pointer, field.value); err != nil {
			return err
		}
	}
	return nil
}
