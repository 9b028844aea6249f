// Package recurrences creates, reads and changes recurring schedules, and does what their
// executions ask for: it works out when they are due, and starts the deliveries of their
// ticks.
//
// A tick's delivery has the id of its nominal time, so that repeating any of this starts
// nothing twice.
package recurrences

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/calendar"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Tenants reads what is configured for tenants.
type Tenants interface {
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
	// Fresh is the same as it is now.
	Fresh(ctx context.Context, name string) (*postdate.Tenant, error)
}

// Starter starts deliveries.
type Starter interface {
	// Start starts the execution of one delivery, or returns [executions.ErrExists].
	Start(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) (postdate.Delivery, error)
	// StartAgain is Start for an id whose delivery was withdrawn.
	StartAgain(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) (postdate.Delivery, error)
}

// Deliveries reads and cancels deliveries.
type Deliveries interface {
	Get(ctx context.Context, tenant, id string) (postdate.Delivery, error)
	CancelDelivery(ctx context.Context, tenant, id string) error
}

// Config is what a [Store] needs.
type Config struct {
	Temporal   client.Client
	Executions *executions.Client
	Tenants    Tenants
	Starter    Starter
	Deliveries Deliveries
	Now        func() time.Time
}

// Store creates, reads and changes recurring schedules. It is safe for concurrent use.
type Store struct{ config Config }

// New returns a store.
func New(c Config) *Store {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Store{config: c}
}

// rule reads a recurrence, with the holiday calendars that its tenant keeps. One that is
// not found is looked up again: it may have been created a moment ago.
func (s *Store) rule(ctx context.Context, tenant string, r postdate.Recurrence) (*calendar.Rule, error) {
	if len(r.Except.Calendars()) == 0 {
		return calendar.Compile(r, nil)
	}
	calendars, err := s.calendars(ctx, tenant, r)
	if err != nil {
		return nil, err
	}
	return calendar.Compile(r, calendars)
}

// calendars are the holiday calendars of a tenant, by name.
func (s *Store) calendars(ctx context.Context, tenant string, r postdate.Recurrence) (map[string]postdate.HolidayCalendar, error) {
	known := make(map[string]postdate.HolidayCalendar)
	for _, lookUp := range []func(context.Context, string) (*postdate.Tenant, error){s.config.Tenants.Tenant, s.config.Tenants.Fresh} {
		configured, err := lookUp(ctx, tenant)
		if err != nil {
			return nil, err
		}
		missing := false
		for _, name := range r.Except.Calendars() {
			found, ok := configured.Calendar(name)
			known[name], missing = found, missing || !ok
			if !ok {
				delete(known, name)
			}
		}
		if !missing {
			break
		}
	}
	return known, nil
}

// Validate reports the first reason that a tenant's recurrence, accepted at now, could not
// be kept, or would never be due.
func (s *Store) Validate(ctx context.Context, tenant string, r postdate.Recurrence) error {
	if err := r.Validate(); err != nil {
		return err
	}
	calendars, err := s.calendars(ctx, tenant, r)
	if err != nil {
		return err
	}
	return calendar.Validate(r, calendars)
}
