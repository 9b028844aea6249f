package deliveries

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

// updateTimeout bounds the wait for an Update. An attempt that is under way is
// waited for.
const updateTimeout = postdate.MaxTimeout + 10*time.Second

// CancelDelivery cancels a delivery, or finds it cancelled. Where its first attempt is
// under way in its group, it waits for the attempt's end.
func (s *Store) CancelDelivery(ctx context.Context, tenant, id string) error {
	err := s.Update(ctx, tenant, id, protocol.UpdateCancel)
	if postdate.CodeOf(err) == postdate.Conflict {
		if found, lookErr := s.read(ctx, tenant, id); lookErr == nil && found.state(s.now()) == postdate.Cancelled {
			return nil
		}
	}
	return err
}

// ReleaseDelivery signals to a parked or waiting delivery that its endpoint may be sent
// to again.
func (s *Store) ReleaseDelivery(ctx context.Context, tenant, id string) error {
	return s.signal(ctx, tenant, id, protocol.SignalRelease)
}

// Update sends an Update to a delivery, and returns when it is done or refused. It is
// done even if the caller goes away: the same request finds that later.
func (s *Store) Update(ctx context.Context, tenant, id, name string, args ...any) error {
	if err := postdate.ValidateDeliveryID("/id", id); err != nil {
		return err
	}
	polling, err := s.workerPolling(ctx)
	if err != nil {
		return err
	}
	if !polling {
		// Only what exists can wait for a worker.
		if _, err := s.read(ctx, tenant, id); err != nil {
			return err
		}
		return postdate.Errorf(postdate.Unavailable, "", "no worker is running that could do it")
	}
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	for range updateTries {
		err = s.update(ctx, tenant, id, name, args)
		if inLine, ok := errors.AsType[queuedError](err); ok {
			err = s.updateQueued(ctx, tenant, id, string(inLine), name)
		}
		if errors.Is(err, errGrouped) {
			err = cmp.Or(s.awaitMove(ctx, tenant, id), err)
		}
		if !errors.Is(err, errGrouped) && !errors.Is(err, errRestarted) {
			return err
		}
	}
	return postdate.Errorf(postdate.Unavailable, "", "it is being restarted: try again")
}

// updateTries is how often an Update is sent to an execution that is about to start: the
// next run, or that of a delivery which leaves its group.
const updateTries = 4

var (
	// errGrouped says that a delivery cannot be changed while a group carries it.
	errGrouped = errors.New("its first attempt is under way in its group")
	// errRestarted says that another execution carries the delivery now.
	errRestarted = errors.New("it is being restarted")
)

// queuedError says that a delivery cannot be changed while this line carries it.
type queuedError string

func (e queuedError) Error() string { return "it waits in line" }

// updateQueued cancels a delivery that a line carries. A delivery without an execution of
// its own cannot be changed in any other way.
func (s *Store) updateQueued(ctx context.Context, tenant, id, line, name string) error {
	if name != protocol.UpdateCancel {
		return postdate.Errorf(postdate.Conflict, "", "it waits for its turn")
	}
	cancel := retry.NewUpdate(s.temporal, nil, line, protocol.UpdateCancelWaiter, nil, id)
	// Of many that are cancelled at once Temporal refuses some.
	err := retry.With(ctx, func(ctx context.Context) error {
		err := cancel(ctx)
		if _, over := errors.AsType[*serviceerror.NotFound](err); over {
			return errRestarted // it is found where it went
		}
		return err
	})
	if refusal, refused := protocol.DecodeError(err); refused && refusal.Code == postdate.NotFound {
		return errRestarted // it has left
	}
	return s.refused(ctx, tenant, id, err)
}

func (s *Store) update(ctx context.Context, tenant, id, name string, args []any) error {
	if group, place, ok := postdate.SplitGroupedScheduleID(id); ok {
		if carried, err := s.updateScheduled(ctx, protocol.ScheduleGroupID(tenant, group), place, name, args); carried || err != nil {
			return err
		}
	}
	update := retry.NewUpdate(s.temporal, nil, protocol.DeliveryID(tenant, id), name, nil, args...)
	return s.refused(ctx, tenant, id, update(ctx))
}

// refused is why an Update of a delivery was not carried out.
func (s *Store) refused(ctx context.Context, tenant, id string, err error) error {
	if _, over := errors.AsType[*serviceerror.NotFound](err); !over {
		return executions.Refused(err)
	}
	// It ended before the Update or during it, or it never had an execution of its own.
	found, err := s.read(ctx, tenant, id)
	if err != nil {
		return err
	}
	switch state := found.state(s.now()); {
	case state.Final():
		return postdate.Errorf(postdate.Conflict, "", "already %s", state)
	case found.line != nil:
		return queuedError(found.lineID)
	case found.grouped:
		return errGrouped
	}
	return errRestarted
}

// awaitMove waits until the group that carries a delivery has ended: by then the delivery
// has left it, or ended in it.
func (s *Store) awaitMove(ctx context.Context, tenant, id string) error {
	event, endpoint, _ := postdate.SplitDeliveryID(id)
	g, err := s.groupOf(ctx, tenant, event, endpoint)
	if err != nil {
		return err
	}
	run := g.info.GetExecution()
	// How it ended does not matter: the delivery is read afterwards.
	_ = s.temporal.GetWorkflow(ctx, run.GetWorkflowId(), run.GetRunId()).Get(ctx, nil)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return executions.ErrTooLate
	}
	return ctx.Err()
}

// SupersedeDelivery signals to a waiting delivery that a newer message replaces it.
func (s *Store) SupersedeDelivery(ctx context.Context, tenant, id string) error {
	return s.signal(ctx, tenant, id, protocol.SignalSuperseded)
}

// AwaitEnd waits until the execution of a delivery closes, or ctx ends. How it ended is
// read afterwards.
func (s *Store) AwaitEnd(ctx context.Context, tenant, id string) {
	_ = s.temporal.GetWorkflow(ctx, protocol.DeliveryID(tenant, id), "").Get(ctx, nil)
}

// signal sends a signal to a delivery that has an execution of its own.
func (s *Store) signal(ctx context.Context, tenant, id, name string) error {
	err := s.temporal.SignalWorkflow(ctx, protocol.DeliveryID(tenant, id), "", name, nil)
	if _, closed := errors.AsType[*serviceerror.NotFound](err); closed {
		return executions.Unknown(id)
	}
	if err != nil {
		return fmt.Errorf("signal %s to %s: %w", name, id, err)
	}
	return nil
}
