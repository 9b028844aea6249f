package recurrences

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

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
	if _, ofTick := postdate.SplitTickID(id); ofTick {
		return executions.Unknown(id)
	}
	if err := postdate.ValidateID("/id", id); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	options := client.UpdateWorkflowOptions{
		UpdateID: uuid.NewString(), WorkflowID: protocol.RecurrenceID(tenant, id), UpdateName: name, Args: args,
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	err := retry.With(ctx, func(ctx context.Context) error {
		handle, err := s.config.Temporal.UpdateWorkflow(ctx, options)
		if err == nil {
			err = handle.Get(ctx, result)
		}
		if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
			// It may just be continuing as new, of which Temporal says the same.
			return s.whyNotFound(ctx, tenant, id, err)
		}
		return err
	})
	return refused(id, err)
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

// refused is why an Update was not carried out.
func refused(id string, err error) error {
	refusal, isRefusal := protocol.DecodeError(err)
	_, isLate := errors.AsType[*client.WorkflowUpdateServiceTimeoutOrCanceledError](err)
	_, isMissing := errors.AsType[*serviceerror.NotFound](err)
	switch {
	case isRefusal:
		return refusal
	case isLate:
		return postdate.Errorf(postdate.Unavailable, "", "no worker has done it in time: it may still be done, so ask for it, or try again")
	case isMissing:
		return executions.Unknown(id)
	}
	return err
}
