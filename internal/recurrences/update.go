package recurrences

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

// updateTimeout bounds a change with all its tries.
const updateTimeout = 30 * time.Second

// Pause lets the ticks of a recurring schedule pass without a delivery.
func (s *Store) Pause(ctx context.Context, tenant, id string, pause postdate.Pause) error {
	if err := pause.Validate(s.config.Now()); err != nil {
		return err
	}
	return s.update(ctx, tenant, id, protocol.UpdatePause, nil, pause)
}

// Resume ends a pause.
func (s *Store) Resume(ctx context.Context, tenant, id string) error {
	return s.update(ctx, tenant, id, protocol.UpdateResume, nil)
}

// Skip leaves the next tick out.
func (s *Store) Skip(ctx context.Context, tenant, id string) error {
	return s.update(ctx, tenant, id, protocol.UpdateSkip, nil)
}

// FireNow starts an extra delivery now.
func (s *Store) FireNow(ctx context.Context, tenant, id string) (postdate.TickRecord, error) {
	var record postdate.TickRecord
	err := s.update(ctx, tenant, id, protocol.UpdateFire, &record)
	return record, err
}

// BackfillRange starts the deliveries of the ticks in a range that have none.
func (s *Store) BackfillRange(ctx context.Context, tenant, id string, of protocol.Backfill) (protocol.Backfilled, error) {
	var done protocol.Backfilled
	read, err := s.read(ctx, tenant, id)
	if err != nil {
		return done, err
	}
	// What could never be done wakes no sleeper.
	if _, err := s.backfillTicks(ctx, tenant, read.input.Recurrence, of); err != nil {
		return done, err
	}
	err = s.update(ctx, tenant, id, protocol.UpdateBackfill, &done, of)
	return done, err
}

// Patch changes a recurring schedule, with effect from its next tick.
func (s *Store) Patch(ctx context.Context, tenant, id string, patch protocol.PatchRecurrence) error {
	if patch.Recurrence != nil {
		read, err := s.read(ctx, tenant, id)
		if err != nil {
			return err
		}
		rule := *patch.Recurrence
		if rule.StartAt == nil {
			rule.StartAt = read.input.Recurrence.StartAt
		}
		if err := s.Validate(ctx, tenant, rule); err != nil {
			return err
		}
	}
	return s.update(ctx, tenant, id, protocol.UpdatePatch, nil, patch)
}

// Cancel ends a recurring schedule. Deliveries that were started go on. Cancelling twice
// is answered alike.
func (s *Store) Cancel(ctx context.Context, tenant, id string) error {
	err := s.update(ctx, tenant, id, protocol.UpdateCancel, nil)
	if postdate.CodeOf(err) == postdate.Conflict {
		if read, readErr := s.read(ctx, tenant, id); readErr == nil && read.state() == postdate.Cancelled {
			return nil
		}
	}
	return err
}

// update sends an Update to a recurrence, and decodes its result into result. However
// often it is repeated, the execution handles it once.
func (s *Store) update(ctx context.Context, tenant, id, name string, result any, args ...any) error {
	if err := validateID(id); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	update := retry.NewUpdate(s.config.Temporal, nil, protocol.RecurrenceID(tenant, id), name, result, args...)
	err := retry.With(ctx, func(ctx context.Context) error {
		err := update(ctx)
		if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
			// It may just be continuing as new, of which Temporal says the same.
			return s.whyNotFound(ctx, tenant, id, err)
		}
		return err
	})
	err = executions.Refused(err)
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return executions.Unknown(id)
	}
	return err
}

// whyNotFound is why an Update found no execution: err where a new run takes its place.
func (s *Store) whyNotFound(ctx context.Context, tenant, id string, err error) error {
	read, readErr := s.read(ctx, tenant, id)
	switch {
	case readErr != nil:
		return readErr
	case executions.IsRunning(read.info):
		return err
	}
	return postdate.Errorf(postdate.Conflict, "", "already %s", read.state())
}
