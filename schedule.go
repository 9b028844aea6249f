package postdate

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"time"
)

const (
	// MaxDelay is the longest start delay that Temporal supports. A delivery that is due
	// later sleeps again after it: see [Furthest].
	MaxDelay = 100 * 365 * 24 * time.Hour
	// maxYears is how far ahead a message may be due, in years of the calendar.
	maxYears = 100
	// DefaultTimeout is how long one attempt may take where the schedule says nothing.
	DefaultTimeout = 15 * time.Second
	// MaxTimeout is the longest that one attempt may take.
	MaxTimeout = time.Minute
	// MaxSpread is the longest time over which schedules are spread.
	MaxSpread = 24 * time.Hour
)

// Furthest is the latest time at which a message may be due: 100 years of the
// calendar from now.
func Furthest(now time.Time) time.Time { return now.AddDate(maxYears, 0, 0) }

// Schedule is a message due at a time.
type Schedule struct {
	// Tenant, together with ID, decides where in Spread it falls.
	Tenant string `json:"-"`

	ID     string          `json:"id,omitempty"`
	Entity string          `json:"entity,omitempty"`
	Type   string          `json:"type"`
	Data   json.RawMessage `json:"data,omitempty"`
	// To is where it goes. Empty: it is published as an event when it is due.
	To Destination `json:"to,omitzero"`
	// DueAt is when to send it. A time that has passed means now, and so does nil.
	DueAt *time.Time `json:"due_at,omitempty"`
	// Delay is the same, counted from when the schedule is accepted.
	Delay *Duration `json:"delay,omitempty"`
	// Spread puts it off by a part of so long: many that are due at one moment
	// are then no stampede.
	Spread *Duration `json:"spread,omitempty"`
	Retry  *Retry    `json:"retry,omitempty"`
	// Timeout bounds each attempt: [DefaultTimeout] unless it says otherwise.
	Timeout *Duration `json:"timeout,omitempty"`
	// ExpiresAt is the moment from which no attempt is begun any more. Nil: never.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// Validate reports the first reason that s, accepted at now, could never fire.
// An empty ID is for the caller to fill.
func (s Schedule) Validate(now time.Time, allowHTTP bool) error {
	if s.ID != "" {
		if err := validateOwnID("/id", s.ID); err != nil {
			return err
		}
	}
	if s.Entity != "" {
		if err := validateName("/entity", s.Entity); err != nil {
			return err
		}
	}
	if err := validateType("/type", s.Type); err != nil {
		return err
	}
	if err := s.To.Validate(allowHTTP); err != nil {
		return err
	}
	if err := s.validateTimes(now); err != nil {
		return err
	}
	if t := s.Timeout; t != nil && (t.Duration() <= 0 || t.Duration() > MaxTimeout) {
		return Errorf(Invalid, "/timeout", "an attempt's timeout is more than 0 and at most %s", MaxTimeout)
	}
	if s.Retry != nil {
		return s.Retry.Validate()
	}
	return nil
}

func (s Schedule) validateTimes(now time.Time) error {
	switch due := s.Due(now); {
	case s.DueAt != nil && s.Delay != nil:
		return Errorf(Invalid, "/delay", "due_at and delay exclude each other")
	case s.Delay != nil && *s.Delay < 0:
		return Errorf(Invalid, "/delay", "a delay cannot be negative")
	case s.Spread != nil && (*s.Spread < 0 || s.Spread.Duration() > MaxSpread):
		return Errorf(Invalid, "/spread", "a spread is from 0 to %s", MaxSpread)
	case s.Delay != nil:
		return validateDue("/delay", due, s.ExpiresAt, now)
	default:
		return validateDue("/due_at", due, s.ExpiresAt, now)
	}
}

func validateDue(pointer string, due time.Time, expires *time.Time, now time.Time) error {
	if due.After(Furthest(now)) {
		return Errorf(Invalid, pointer, "due more than %d years ahead", maxYears)
	}
	if expires != nil && !expires.After(due) {
		return Errorf(Invalid, "/expires_at", "expires before it is due (%s)", due.Format(time.RFC3339))
	}
	return nil
}

// Due is when s, accepted at now, is to be sent: the time it names, put off by
// its part of Spread.
func (s Schedule) Due(now time.Time) time.Time {
	due := now
	switch {
	case s.Delay != nil:
		due = now.Add(s.Delay.Duration())
	case s.DueAt != nil:
		due = *s.DueAt
	}
	return due.Add(s.shift())
}

// shift is the part of Spread by which s is put off: at least 0, less than all
// of it, in whole milliseconds. The tenant and the id alone decide it, so that
// a repeated request gets the same answer. Ids that differ in one digit may lie anywhere.
func (s Schedule) shift() time.Duration {
	if s.Spread == nil {
		return 0
	}
	most := s.Spread.Duration()
	if most <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(s.Tenant + "\n" + s.ID))
	part, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:8]), uint64(most))
	return time.Duration(part).Truncate(time.Millisecond) //nolint:gosec // it is less than most
}

// Change is what PATCH may alter of a schedule that has not ended.
// What is nil stays.
type Change struct {
	DueAt *time.Time `json:"due_at,omitempty"`
	// Data replaces the data: see [Message].
	Data []byte `json:"payload,omitempty"`
	nestedData
}

// UnmarshalJSON reads a change whose data was recorded in either form.
func (c *Change) UnmarshalJSON(text []byte) error {
	type plain Change
	err := json.Unmarshal(text, (*plain)(c))
	c.Data = c.take(c.Data)
	return err
}

// Validate reports the first reason why c, requested at now, cannot be made to
// a schedule that expires at expires (zero: never).
func (c Change) Validate(now, expires time.Time) error {
	if c.DueAt == nil {
		if c.Data == nil {
			return Errorf(Invalid, "", "nothing to change: give due_at, data or both")
		}
		return nil
	}
	bound := &expires
	if expires.IsZero() {
		bound = nil
	}
	return validateDue("/due_at", *c.DueAt, bound, now)
}
