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
	// Known: the settings have been received or read.
	Known    bool              `json:"known,omitempty"`
	Throttle throttle.Throttle `json:"flow"`

	Leases []Leaseholder `json:"leases,omitempty"` // in the order of their first requests
	Pool   TokenPool     `json:"bank,omitzero"`
	Recent RecentStats   `json:"lately,omitzero"`

	Lines  []QueuedLine           `json:"lines,omitempty"` // the one that waits longest is first
	Latest map[string]LatestEntry `json:"newest,omitempty"`
	// Canary is what is known of its canary. Nil: it has had none.
	Canary *CanaryRun `json:"canary,omitempty"`

	// Reserved are the messages that consumers are about to take from lines, and
	// LastReservation is the id of the last.
	Reserved        []OpenReservation `json:"reserved,omitempty"`
	LastReservation int64             `json:"last_reservation,omitempty"`

	// BusyAt is when a request came last, and ReadAt when the settings were read.
	BusyAt time.Time `json:"busy_at,omitzero"`
	ReadAt time.Time `json:"read_at,omitzero"`
	// OverloadedAt is since when the queue does not drain in time, and News the
	// announcement of that, until it is published.
	OverloadedAt time.Time     `json:"overloaded_at,omitzero"`
	News         *Announcement `json:"news,omitempty"`
}

// EndpointDecision is what an Endpoint does next. It is recorded, so that an execution
// replays as it ran, even if the constants by which it was decided have changed.
type EndpointDecision struct {
	Throttle throttle.Throttle `json:"flow"`
	// Lease is the result of a lease request, Holder the leaseholder after it, and Tokens
	// what remains in the pool.
	Lease  *Lease      `json:"lease,omitempty"`
	Holder Leaseholder `json:"holder,omitzero"`
	Tokens float64     `json:"tokens,omitempty"`
	// Call are the ids of the lines to wake.
	Call []string `json:"call,omitempty"`
	// Wake is when to decide again, if no request comes before.
	Wake time.Time `json:"wake"`
	Read bool      `json:"read,omitempty"` // the settings
	// Canary is what is to be done with the canary.
	Canary     *ChangeCanary `json:"canary,omitempty"`
	Overloaded bool          `json:"overloaded,omitempty"`
	Over       bool          `json:"over,omitempty"`
}

// RecentStats are sums over recent attempts, of which half decays in each half-life.
type RecentStats struct {
	Attempts  float64   `json:"attempts,omitempty"`
	Succeeded float64   `json:"succeeded,omitempty"`
	Answered  float64   `json:"answered,omitempty"`
	LatencyMS float64   `json:"latency_ms,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

// Leaseholder is a worker that holds a lease, or has reported recently.
type Leaseholder struct {
	Worker   string `json:"worker"`
	InFlight int    `json:"in_flight,omitempty"`
	Waiting  int    `json:"asking,omitempty"`
	// Share is what it may use until its next request: what it was granted, or held
	// before, whichever is more.
	Share postdate.Pace `json:"share,omitzero"`
	// Given is what it was granted.
	Given postdate.Pace `json:"given,omitzero"`
	Until time.Time     `json:"until"`
	// StarvedSince is since when it has requested a share and got none.
	StarvedSince time.Time `json:"hungry_since,omitzero"`
	// ProbeAt is when it was granted the probe of a half-open breaker.
	ProbeAt    time.Time `json:"probe_at,omitzero"`
	ReportOnly bool      `json:"calm,omitempty"`
}

// TokenPool saves up the part of a rate that is in no share.
type TokenPool struct {
	Tokens float64   `json:"tokens,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// QueuedLine is a line in an endpoint's queue. Its JSON names are short, since the next
// run gets all of them as one value.
type QueuedLine struct {
	ID      string `json:"i"`
	Waiting int    `json:"n"`
	// Times are milliseconds since 1970. Since is when its first entry was accepted, and
	// Expires when the first of them expires: 0 where none does.
	Since   int64 `json:"s"`
	Expires int64 `json:"e,omitempty"`
	// Called is when it was woken, 0 where it was not. Rest is until when it is not woken
	// again, since it sent nothing the last time.
	Called int64 `json:"c,omitempty"`
	Rest   int64 `json:"r,omitempty"`
	// Old are the places whose messages are superseded, a bit each.
	Old Places `json:"o,omitempty"`
	// Of a line that is pulled from: see [LineStatus].
	Version int64  `json:"v,omitempty"`
	Open    Places `json:"p,omitempty"`
	Leased  int    `json:"l,omitempty"`
}

// LatestEntry is the place of the newest message of an entity and type.
type LatestEntry struct {
	Line  string `json:"l"`
	Place int    `json:"p"`
}
