package postdate

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The states that only a recurring schedule has. Otherwise it is [Scheduled] or
// [Cancelled].
const (
	RecurrencePaused State = "paused" // its ticks pass without a delivery until it is resumed
	RecurrenceEnded  State = "ended"  // no tick follows
)

const (
	// ShownTicks is how many of the last and of the next ticks are shown.
	ShownTicks = 10
	// MaxPreview is how many ticks a preview shows at most.
	MaxPreview = 1000
	// MaxBackfill is how many ticks are backfilled at once at most.
	MaxBackfill = 1000
)

// RecurringSchedule is a recurring schedule, as it was at the moment at which it was
// read.
type RecurringSchedule struct {
	ID string
	// Message is what each tick's delivery sends, without an id.
	Message    Message
	To         Destination
	Timeout    Duration
	Retry      Retry // with its defaults
	Recurrence Recurrence
	State      State
	// Reason says why it is paused, or how it ended.
	Reason string
	// Passed is the number of the last tick: how many there were, with or without a
	// delivery.
	Passed int
	// Next are the next ticks, and Last the last ones, the latest first.
	Next  []Tick
	Last  []TickRecord
	Pause *Pause

	CreatedAt     time.Time
	EndedAt       time.Time // zero where it has not
	RequestDigest string
	Execution     Execution
}

// TickRecord is a tick that has passed, and what became of it.
type TickRecord struct {
	Tick
	Outcome TickOutcome `json:"outcome"`
	// DeliveryID is the id of its delivery, where it has one.
	DeliveryID string `json:"delivery,omitempty"`
	// State is where that delivery stands. It is empty where nobody asked for it, or
	// where the delivery ended long ago.
	State State `json:"state,omitempty"`
}

// TickOutcome says what became of a tick.
type TickOutcome string

// The outcomes of a tick.
const (
	TickStarted    TickOutcome = "started"    // it has a delivery
	TickBuffered   TickOutcome = "buffered"   // it waits for an earlier one's delivery to end
	TickOverlapped TickOutcome = "overlapped" // left out: an earlier one's delivery was under way
	TickSkipped    TickOutcome = "skipped"    // left out on request
	TickPaused     TickOutcome = "paused"     // left out: the schedule was paused
	TickMissed     TickOutcome = "missed"     // left out: nothing ran then, and catch_up says so
)

// Pause says why a recurring schedule is paused, and for how long.
type Pause struct {
	Note  string    `json:"note,omitempty"`
	Since time.Time `json:"since"`
	// Until is when it resumes by itself. Zero: never.
	Until time.Time `json:"until,omitzero"`
}

const maxNote = 500

// Validate reports the first rule that p, requested at now, breaks.
func (p Pause) Validate(now time.Time) error {
	switch {
	case utf8.RuneCountInString(p.Note) > maxNote:
		return Errorf(Invalid, "/note", "at most %d characters", maxNote)
	case p.Until.IsZero():
		return nil
	case !p.Until.After(now):
		return Errorf(Invalid, "/until", "has passed")
	case p.Until.After(Furthest(now)):
		return Errorf(Invalid, "/until", "more than %d years ahead", maxYears)
	}
	return nil
}

// TickRef says for which tick of which recurring schedule a message is.
type TickRef struct {
	// Schedule is the recurring schedule's id.
	Schedule string `json:"schedule"`
	// Number is the tick's. 0: it was fired or backfilled, beside those that are counted.
	Number int `json:"number,omitempty"`
	// NominalTime is when the tick was due, however late its delivery is.
	NominalTime time.Time `json:"nominal_time"`
}

// TickID is the id of the delivery of the tick of a recurring schedule that is due at
// that time.
func TickID(schedule string, due time.Time) string {
	return schedule + "@" + due.UTC().Format(time.RFC3339)
}

// FiredID is the id of the n-th delivery that a recurring schedule was fired for, beside
// its ticks.
func FiredID(schedule string, n int) string { return schedule + "@fired-" + strconv.Itoa(n) }

var tickPattern = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|fired-[1-9]\d{0,9})$`)

// SplitTickID is the inverse of [TickID] and [FiredID]: the recurring schedule's id.
func SplitTickID(id string) (schedule string, ok bool) {
	schedule, tick, ok := strings.Cut(id, "@")
	return schedule, ok && tickPattern.MatchString(tick)
}

// ValidateScheduleID holds id to the form of a schedule's: one that a caller may choose,
// or that of a tick of a recurring one.
func ValidateScheduleID(pointer, id string) error {
	if schedule, ok := SplitTickID(id); ok {
		return ValidateID(pointer, schedule)
	}
	return ValidateID(pointer, id)
}

// Delay is how long after its ticks the deliveries of a schedule with recurrence r are
// due: its part of Spread, the same for all ticks.
func (r Recurrence) Delay(tenant, id string) time.Duration {
	return Schedule{Tenant: tenant, ID: id, Spread: r.Spread}.shift()
}
