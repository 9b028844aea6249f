// Package activities is what workflows ask the world to do: make an attempt, retry it,
// enqueue it, hand it over. Each file declares the interfaces that its activities call.
package activities

import (
	"context"
	"log/slog"
	"time"

	"github.com/postdate/postdate"
)

// Sender makes one attempt. The attempt says what the receiver did; the error says
// that none could be made, for a reason of our own.
type Sender interface {
	Send(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error)
}

// Tenants knows where messages go, and takes reports of what attempts came to.
type Tenants interface {
	// Tenant is all that is configured for a tenant, as it was at most a second ago.
	// It must not be changed. For one that was never configured it is empty but for
	// the secret that signs its messages to bare urls.
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
	// Fresh is the same as it is now: for decisions that must not rest on what was a
	// second ago.
	Fresh(ctx context.Context, name string) (*postdate.Tenant, error)
	// Report reports what an attempt at an endpoint came to. Most reports change
	// nothing and cost nothing.
	Report(ctx context.Context, tenant, endpoint string, attempt postdate.Attempt)
}

// Activities holds what the activities need. Its methods are the activities.
type Activities struct {
	Sender     Sender
	Tenants    Tenants
	Starter    Starter
	Publisher  Publisher
	Queue      Queue
	Deliveries Deliveries
	AttemptLog AttemptLog
	// Limiter issues permits for endpoints. Nil: every attempt has one at once.
	Limiter Limiter
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own.
	MaxInFlight int
	Log         *slog.Logger
	// Now is the clock by which attempts expire.
	Now func() time.Time
}
