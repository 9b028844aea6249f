package workflows

import (
	"errors"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// listen sets the handlers of l: it is woken by a signal, learns by another that SendLine
// stops, and cancels deliveries by an Update.
func (l *line) listen(ctx workflow.Context) error {
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var wake protocol.Wake
			if !workflow.GetSignalChannel(ctx, protocol.SignalCall).Receive(ctx, &wake) {
				return
			}
			if l.stop == nil { // else leave reports that it still waits
				l.Wake = &wake
			}
		}
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var stopped protocol.LineStopped
			if !workflow.GetSignalChannel(ctx, protocol.SignalStopped).Receive(ctx, &stopped) {
				return
			}
			if stopped.Run == l.runs && l.stop != nil {
				l.stopped, l.begun = true, stopped.Begun
				l.cancelRequests(ctx)
			}
		}
	})
	return errors.Join(
		setUpdate(ctx, protocol.UpdateCancelWaiter, l.cancelEntry, l.validateCancel,
			"Cancels one of the deliveries, unless it is delivered first."),
		l.listenToConsumers(ctx),
	)
}

// cancelEntry cancels a delivery. An attempt at it that is under way is waited for.
func (l *line) cancelEntry(ctx workflow.Context, id string) (protocol.UpdateResult, error) {
	place, _ := l.Place(id)
	l.cancelRequested[place] = true
	l.cancelRequests(ctx)
	if l.states[place] == pending && !l.stopped && l.stop != nil { // the line is woken again for those that were not sent
		l.stop()
	}
	if err := workflow.Await(ctx, func() bool { return l.states[place] != pending }); err != nil {
		return protocol.UpdateResult{}, err
	}
	if l.states[place] != cancelled {
		return protocol.UpdateResult{}, l.conflict(id)
	}
	return protocol.UpdateResult{State: postdate.Cancelled, DueAt: l.Entries[place].At}, nil
}

func (l *line) validateCancel(id string) error {
	place, ok := l.Place(id)
	if !ok {
		return protocol.EncodeError(postdate.Errorf(postdate.NotFound, "", "it does not wait here"))
	}
	if l.states[place] == delivered || l.states[place] == moved {
		return l.conflict(id)
	}
	return nil
}

// conflict is the error that says what came first.
func (l *line) conflict(id string) error {
	if place, _ := l.Place(id); l.states[place] == delivered {
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "already %s", postdate.Delivered))
	}
	return protocol.EncodeError(postdate.Errorf(postdate.NotFound, "", "it does not wait here any more"))
}
