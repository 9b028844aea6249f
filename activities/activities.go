// Package activities holds the activities that workflows call: they make attempts, retry
// them, enqueue deliveries and hand them over. Each file declares the interfaces that its
// activities call.
package activities

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/postdate/postdate"
)

// Sender makes one attempt. The attempt says what the receiver did; an error says that
// none was made, because of a failure of our own.
type Sender interface {
	Send(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error)
}

// Tenants knows where messages go, and takes reports of the outcomes of attempts.
type Tenants interface {
	// Tenant returns all that is configured for a tenant, as it was at most a second ago.
	// The caller must not change it. One that was never configured has nothing but the
	// secret that signs its messages to bare urls.
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
	// Fresh returns the same as it is now, for decisions that must not rest on what was a
	// second ago.
	Fresh(ctx context.Context, name string) (*postdate.Tenant, error)
	// Report reports the outcome of an attempt at an endpoint. Most reports change nothing
	// and cost nothing.
	Report(ctx context.Context, tenant, endpoint string, attempt postdate.Attempt)
}

// BurstRate takes in how late executions begin of bursts of which so many start per second.
type BurstRate interface {
	Observe(perSecond int, late time.Duration)
}

// Activities holds what the activities need. Its methods are the activities.
type Activities struct {
	Sender     Sender
	Tenants    Tenants
	Starter    Starter
	Publisher  Publisher
	Queue      Queue
	Deliveries Deliveries
	Postponer  Postponer
	Groups     Groups
	AttemptLog AttemptLog
	// Recurrences does what recurring schedules ask for.
	Recurrences Recurrences
	// Withdrawer withdraws the deliveries of their ticks.
	Withdrawer Withdrawer
	// Canaries changes canaries of endpoints.
	Canaries Canaries
	// Intake starts what records of streams ask for.
	Intake Intake
	// Limiter issues permits for endpoints. Nil: every attempt has one at once.
	Limiter Limiter
	// BurstRate learns from the first attempts of bursts. Nil: nothing does.
	BurstRate BurstRate
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own.
	MaxInFlight int
	// MaxReschedules is after how many attempts at a message its receiver no longer puts it
	// off by less than an hour. 0: it always may.
	MaxReschedules int
	Log            *slog.Logger
	// Now is the clock by which attempts expire.
	Now func() time.Time

	sent     sentMemory
	mirrored atomic.Int64 // copies that are under way
}
