package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// slowType is that of the events for a receiver that cannot keep up.
const slowType = "customer.changed"

// slowEndpoint is a run with a second receiver that cannot keep up, and an endpoint
// for it.
type slowEndpoint struct {
	*run

	workers  *system.Workers
	receiver *rig.SlowReceiver
	id       string
}

// newSlowEndpoint starts a receiver that takes so long for a call, and registers it
// with those settings.
func newSlowEndpoint(ctx context.Context, r *run, takes time.Duration, settings map[string]any) (*slowEndpoint, error) {
	receiver, err := rig.StartSlowReceiver(ctx, takes)
	if err != nil {
		return nil, err
	}
	settings["url"], settings["event_types"] = receiver.URL, []string{slowType}
	id, err := r.postdate.Register(ctx, settings)
	if err != nil {
		receiver.Stop()
		return nil, err
	}
	return &slowEndpoint{run: r, workers: system.NewWorkers(r.postdate), receiver: receiver, id: id}, nil
}

func (e *slowEndpoint) close() {
	e.workers.Stop()
	e.receiver.Stop()
}

// update changes the endpoint's settings.
func (e *slowEndpoint) update(ctx context.Context, settings map[string]any) error {
	return e.postdate.UpdateEndpoint(ctx, e.id, settings)
}

// waiting returns how many deliveries wait for it.
func (e *slowEndpoint) waiting(ctx context.Context) (int, error) {
	return e.postdate.Waiting(ctx, e.id)
}

// stream publishes unnamed events of a type at a fixed pace, from start on and for as
// long as streams last.
func (e *slowEndpoint) stream(ctx context.Context, eventType string, start time.Time, interval time.Duration) ([]*rig.Message, error) {
	events := rig.NewMessages(int(e.options.Streams/interval), eventType, "", time.Time{})
	return events, rig.PublishAtPace(ctx, system.Events{Postdate: e.postdate, Type: eventType}, start, interval, events)
}

// note fails where an event of the slow stream was lost, and counts those that
// arrived more than once.
func (e *slowEndpoint) note(figures *report.SlowReceiver, events []*rig.Message) error {
	if err := e.receiver.Note(events); err != nil {
		return err
	}
	figures.SlowMessages = len(events)
	for _, m := range events {
		figures.SlowDuplicates += m.Copies - 1
	}
	return nil
}
