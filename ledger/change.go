package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/persist"
	"github.com/postdate/postdate/workflows"
)

// updateTimeout bounds the wait for an Update. An attempt that is under way is
// waited for.
const updateTimeout = postdate.MaxTimeout + 10*time.Second

// CancelDelivery cancels a delivery, or finds it cancelled. One whose first
// attempt is under way in its group is waited for.
func (l *Ledger) CancelDelivery(ctx context.Context, tenant, id string) error {
	err := l.Update(ctx, tenant, id, workflows.UpdateCancel)
	if postdate.CodeOf(err) == postdate.Conflict {
		if found, lookErr := l.look(ctx, tenant, id); lookErr == nil && found.State(l.Now()) == postdate.Cancelled {
			return nil
		}
	}
	return err
}

// ReleaseDelivery tells a parked delivery that its endpoint may be sent to again.
func (l *Ledger) ReleaseDelivery(ctx context.Context, tenant, id string) error {
	err := l.Temporal.SignalWorkflow(ctx, workflows.DeliveryID(tenant, id), "", workflows.SignalRelease, nil)
	if _, over := errors.AsType[*serviceerror.NotFound](err); over {
		return unknown(id)
	}
	if err != nil {
		return fmt.Errorf("release %s: %w", id, err)
	}
	return nil
}

// Update has a delivery do what the Update called name says, and answers when it
// is done or refused. The caller may go away meanwhile: it is done all the same,
// and the same request finds that.
func (l *Ledger) Update(ctx context.Context, tenant, id, name string, args ...any) error {
	if err := postdate.ValidateDeliveryID("/id", id); err != nil {
		return err
	}
	polling, err := l.WorkerPolling(ctx)
	if err != nil {
		return err
	}
	if !polling {
		// Only what exists can wait for a worker.
		if _, err := l.look(ctx, tenant, id); err != nil {
			return err
		}
		return postdate.Errorf(postdate.Unavailable, "", "no worker is running that could do it")
	}
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	for range updateTries {
		err = l.update(ctx, tenant, id, name, args)
		if inLine, ok := errors.AsType[inLineError](err); ok {
			err = l.updateInLine(ctx, tenant, id, string(inLine), name)
		}
		if errors.Is(err, errGrouped) {
			err = cmp.Or(l.left(ctx, tenant, id), err)
		}
		if !errors.Is(err, errGrouped) && !errors.Is(err, errAnew) {
			return err
		}
	}
	return postdate.Errorf(postdate.Unavailable, "", "it is being started anew: try again")
}

// updateTries is how often an Update is asked for of an execution that is to come
// at any moment: the next run, or that of what leaves its group.
const updateTries = 4

var (
	// errGrouped says that a delivery cannot be changed for it travels in a group.
	errGrouped = errors.New("its first attempt is under way in its group")
	// errAnew says that the execution asked is not the one any more that carries it.
	errAnew = errors.New("it is being started anew")

	errTooLate = postdate.Errorf(postdate.Unavailable, "",
		"no worker has done it in time: it may still be done, so ask for it, or try again")
)

// inLineError says that a delivery cannot be changed for it travels in that line.
type inLineError string

func (e inLineError) Error() string { return "it waits in line" }

// updateInLine has a line give up one of its deliveries. Nothing else can be done
// to one that has no execution of its own.
func (l *Ledger) updateInLine(ctx context.Context, tenant, id, line, name string) error {
	if name != workflows.UpdateCancel {
		return postdate.Errorf(postdate.Conflict, "", "it waits for its turn")
	}
	// Of many that are cancelled at once the engine refuses some.
	err := persist.With(ctx, func(ctx context.Context) error {
		handle, err := l.Temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: line, UpdateName: workflows.UpdateCancelWaiter, Args: []any{id},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			err = handle.Get(ctx, nil)
		}
		if _, over := errors.AsType[*serviceerror.NotFound](err); over {
			return errAnew // what became of it is found where it went
		}
		return err
	})
	if told, refused := workflows.Refusal(err); refused && told.Code == postdate.NotFound {
		return errAnew // it has left
	}
	return l.refused(ctx, tenant, id, err)
}

func (l *Ledger) update(ctx context.Context, tenant, id, name string, args []any) error {
	handle, err := l.Temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: workflows.DeliveryID(tenant, id), UpdateName: name, Args: args,
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return l.refused(ctx, tenant, id, err)
}

// refused says why an Update of a delivery was not carried out, if err says so.
func (l *Ledger) refused(ctx context.Context, tenant, id string, err error) error {
	told, isRefusal := workflows.Refusal(err)
	_, isOver := errors.AsType[*serviceerror.NotFound](err)
	_, isLate := errors.AsType[*client.WorkflowUpdateServiceTimeoutOrCanceledError](err)
	switch {
	case err == nil:
		return nil
	case isRefusal:
		return told
	case isLate:
		return errTooLate
	case !isOver:
		return err
	}
	// It has ended, before the Update or while it waited, or never had an
	// execution of its own.
	found, err := l.look(ctx, tenant, id)
	if err != nil {
		return err
	}
	switch state := found.State(l.Now()); {
	case state.Over():
		return postdate.Errorf(postdate.Conflict, "", "already %s", state)
	case found.line != nil:
		return inLineError(found.lineID)
	case found.grouped:
		return errGrouped
	}
	return errAnew
}

// left waits until a delivery has left the group of its event, at the latest
// when the group ends. Where it ended there, that is the answer.
func (l *Ledger) left(ctx context.Context, tenant, id string) error {
	event, endpoint, _ := postdate.SplitDeliveryID(id)
	carrier, err := l.carrier(ctx, tenant, event, endpoint)
	if err != nil {
		return err
	}
	run := carrier.info.GetExecution()
	// How it ended does not matter: what became of the delivery is looked up.
	_ = l.Temporal.GetWorkflow(ctx, run.GetWorkflowId(), run.GetRunId()).Get(ctx, nil)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errTooLate
	}
	return ctx.Err()
}
