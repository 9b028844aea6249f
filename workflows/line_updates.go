package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
)

// listen lets l be called, and give up deliveries.
func (l *line) listen(ctx workflow.Context) error {
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var call Call
			if !workflow.GetSignalChannel(ctx, SignalCall).Receive(ctx, &call) {
				return
			}
			if l.stop == nil { // else it is told that it is still there when it leaves
				l.Call = &call
			}
		}
	})
	return workflow.SetUpdateHandlerWithOptions(ctx, UpdateCancelWaiter, l.cancelWaiter, workflow.UpdateHandlerOptions{
		Validator: l.mayCancel, Description: "Cancels one of the deliveries, unless it is delivered first.",
	})
}

// cancelWaiter gives a delivery up. An attempt that is under way is waited for.
func (l *line) cancelWaiter(ctx workflow.Context, id string) (Standing, error) {
	place, _ := l.Place(id)
	l.unwanted[place] = true
	switch {
	case l.fates[place] != waits:
	case l.stop == nil:
		l.cancel(ctx, place, byWish)
	default: // who was not sent by now is called again
		l.stop()
	}
	if err := workflow.Await(ctx, func() bool { return l.fates[place] != waits }); err != nil {
		return Standing{}, err
	}
	if l.fates[place] != isCancelled {
		return Standing{}, l.tooLate(id)
	}
	return Standing{State: postdate.Cancelled, DueAt: l.Waiters[place].At}, nil
}

func (l *line) mayCancel(id string) error {
	place, ok := l.Place(id)
	if !ok {
		return refuse(postdate.Errorf(postdate.NotFound, "", "it does not wait here"))
	}
	if l.fates[place] == isDelivered || l.fates[place] == hasLeft {
		return l.tooLate(id)
	}
	return nil
}

// tooLate says what came first.
func (l *line) tooLate(id string) error {
	if place, _ := l.Place(id); l.fates[place] == isDelivered {
		return refuse(postdate.Errorf(postdate.Conflict, "", "already %s", postdate.Delivered))
	}
	return refuse(postdate.Errorf(postdate.NotFound, "", "it does not wait here any more"))
}
