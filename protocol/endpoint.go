package protocol

import (
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// EndpointInput is the endpoint as it was when the execution before this one ended.
type EndpointInput struct {
	Tenant   string           `json:"tenant"`
	ID       string           `json:"id"`
	Settings EndpointSettings `json:"settings"`
	// Known: the settings were told, or read.
	Known    bool              `json:"known,omitempty"`
	Throttle throttle.Throttle `json:"flow"`

	Leases []Leaseholder `json:"leases,omitempty"` // in the order in which they came
	Pool   TokenPool     `json:"bank,omitzero"`
	Recent RecentStats   `json:"lately,omitzero"`

	Lines  []QueuedLine           `json:"lines,omitempty"` // who waits longest is first
	Latest map[string]LatestEntry `json:"newest,omitempty"`

	// BusyAt is when anybody was here last, and ReadAt when the settings were read.
	BusyAt time.Time `json:"busy_at,omitzero"`
	ReadAt time.Time `json:"read_at,omitzero"`
	// OverloadedAt is since when the queue does not drain in time, and News what
	// remains to be told of it.
	OverloadedAt time.Time     `json:"overloaded_at,omitzero"`
	News         *Announcement `json:"news,omitempty"`
}

// decision is what an Endpoint does next. It is recorded, so that an execution
// replays as it ran, though the constants by which it was decided have changed.
type EndpointDecision struct {
	Throttle throttle.Throttle `json:"flow"`
	// Lease is what is answered to whoever asked for one, Holder what it has then,
	// and Tokens what remains in the bank.
	Lease  *Lease      `json:"lease,omitempty"`
	Holder Leaseholder `json:"holder,omitzero"`
	Tokens float64     `json:"tokens,omitempty"`
	// Wake are the lines to be called, by id.
	Call []string `json:"call,omitempty"`
	// Wake is when to decide anew, if nobody comes before.
	Wake       time.Time `json:"wake"`
	Read       bool      `json:"read,omitempty"` // the settings
	Overloaded bool      `json:"overloaded,omitempty"`
	Over       bool      `json:"over,omitempty"`
}

// Recent is what attempts came to, in sums of which half is forgotten in
// [recentHalfLife].
type RecentStats struct {
	Attempts  float64   `json:"attempts,omitempty"`
	Succeeded float64   `json:"succeeded,omitempty"`
	Answered  float64   `json:"answered,omitempty"`
	LatencyMS float64   `json:"latency_ms,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

// Leaseholder is a worker that holds a lease, or told of itself lately.
type Leaseholder struct {
	Worker   string `json:"worker"`
	InFlight int    `json:"in_flight,omitempty"`
	Waiting  int    `json:"asking,omitempty"`
	// Share is what it may use until it asks again: what it was given, or held
	// before, whichever is more.
	Share postdate.Pace `json:"share,omitzero"`
	// Given is what it was told.
	Given postdate.Pace `json:"given,omitzero"`
	Until time.Time     `json:"until"`
	// StarvedSince is since when it has wanted a share and got none.
	StarvedSince time.Time `json:"hungry_since,omitzero"`
	// ProbeAt is when it was given the probe of a half-open breaker.
	ProbeAt    time.Time `json:"probe_at,omitzero"`
	ReportOnly bool      `json:"calm,omitempty"`
}

// Pool saves up what of a rate is in nobody's share.
type TokenPool struct {
	Tokens float64   `json:"tokens,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// QueuedLine is a line that waits for its endpoint's call. Its names are short, for
// all of them go into the next run as one value.
type QueuedLine struct {
	ID      string `json:"i"`
	Waiting int    `json:"n"`
	// Moments are milliseconds since 1970. Since is when the first in it was
	// accepted, Expires the earliest end: 0 where none expires.
	Since   int64 `json:"s"`
	Expires int64 `json:"e,omitempty"`
	// Dequeued is when it was called, and Rest until when it is not, for the last
	// call came to nothing. 0: it was not.
	Called int64 `json:"c,omitempty"`
	Rest   int64 `json:"r,omitempty"`
	// Old are the places whose messages are superseded: a bit each.
	Old []byte `json:"o,omitempty"`
}

// LatestEntry is where the newest message of an entity and type waits.
type LatestEntry struct {
	Line  string `json:"l"`
	Place int    `json:"p"`
}
