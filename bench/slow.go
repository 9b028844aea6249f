package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// The pace of the streams, and of the receiver that cannot keep up with its own.
const (
	slowInterval = time.Second / 200
	fastInterval = time.Second / 20
	slowTakes    = 1500 * time.Millisecond
	slowInFlight = 10

	slowType = "customer.changed"
)

// overload is a receiver that cannot keep up, and who sends to it.
type overload struct {
	*stage

	fleet    fleet
	crm      *crm
	endpoint string
}

// overloaded opens a stage's slow side: the receiver, and an endpoint for it
// with those settings.
func (s *stage) overloaded(ctx context.Context, takes time.Duration, settings map[string]any) (*overload, error) {
	o := &overload{stage: s, fleet: fleet{children: []*child{s.child}}}
	var err error
	if o.crm, err = startCRM(ctx, takes); err != nil {
		return nil, err
	}
	settings["url"], settings["event_types"] = o.crm.url, []string{slowType}
	o.endpoint, err = s.postdate.register(ctx, settings)
	if err != nil {
		o.crm.stop()
	}
	return o, err
}

func (o *overload) close() {
	o.fleet.stopWorkers()
	o.crm.stop()
}

func (p *postdate) register(ctx context.Context, settings map[string]any) (string, error) {
	body, err := json.Marshal(settings)
	if err != nil {
		return "", fmt.Errorf("write the endpoint: %w", err)
	}
	var made struct{ ID string }
	err = p.call(ctx, http.MethodPost, p.url("/v1/endpoints", nil), http.StatusCreated, body, &made)
	return made.ID, err
}

// patch changes the slow endpoint.
func (o *overload) patch(ctx context.Context, settings map[string]any) error {
	body, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return o.postdate.call(ctx, http.MethodPatch, o.postdate.url("/v1/endpoints/"+o.endpoint, nil), http.StatusOK, body, nil)
}

// waiting is how many wait for the slow endpoint, as its health has it.
func (o *overload) waiting(ctx context.Context) (int, error) {
	var health struct{ Waiting int }
	err := o.postdate.call(ctx, http.MethodGet, o.postdate.url("/v1/endpoints/"+o.endpoint+"/health", url.Values{}), http.StatusOK, nil, &health)
	return health.Waiting, err
}

// stream publishes events of a type, unnamed, from start on and for as long as
// streams last.
func (o *overload) stream(ctx context.Context, eventType string, start time.Time, interval time.Duration) ([]*item, error) {
	items := newItems(int(o.streams/interval), eventType, "", time.Time{})
	return items, publishAtPace(ctx, typedTopic{o.postdate, eventType}, start, interval, items)
}

// typedTopic publishes events of one type, and leaves the ids to Postdate.
type typedTopic struct {
	*postdate
	eventType string
}

func (t typedTopic) publish(ctx context.Context, m *item) error {
	id, err := t.publishEvent(ctx, event{Type: t.eventType, Entity: m.entity, Data: payload})
	if err == nil {
		m.id = id
	}
	return err
}

// slowCRM: a stream that its receiver cannot take, and beside it one that is
// not to feel that.
type slowCRM struct {
	workers int // one of several is killed in the middle
}

func (c slowCRM) run(ctx context.Context, s *stage) (*measured, error) {
	o, err := s.overloaded(ctx, slowTakes, map[string]any{"max_in_flight": slowInFlight})
	if err != nil {
		return nil, err
	}
	defer o.close()
	if err := o.fleet.addWorkers(ctx, s.postdate, c.workers-1); err != nil {
		return nil, err
	}
	if err := s.postdate.subscribe(ctx, s.receiver.url, 1); err != nil {
		return nil, err
	}
	got := &measured{overloadFigures: &overloadFigures{}}
	alone, err := o.alone(ctx, got.overloadFigures)
	if err != nil {
		return nil, err
	}
	var slow []*item
	if got.since, got.items, slow, err = o.beside(ctx, got.overloadFigures); err != nil {
		return nil, err
	}
	if err := o.openGates(ctx, got.overloadFigures, slow); err != nil {
		return nil, err
	}
	if err := s.receiver.note(append(alone, got.items...)); err != nil {
		return nil, err
	}
	got.compare(alone, got.items)
	if got.peak, err = memory(s.child.pid, rssPeak); err != nil {
		return nil, err
	}
	got.Transitions, err = s.postdate.transitions(ctx, got.since, "Dispatch", "Line", "Deliver", "Endpoint")
	got.perWaiting(len(got.items))
	return got, err
}

// alone is the fast stream without the slow one.
func (o *overload) alone(ctx context.Context, got *overloadFigures) ([]*item, error) {
	before, err := o.fleet.cpu()
	if err != nil {
		return nil, err
	}
	events, err := o.stream(ctx, eventType, time.Now(), fastInterval)
	if err != nil {
		return nil, err
	}
	if err := o.receiver.wait(ctx, len(events), time.Now()); err != nil {
		return nil, err
	}
	if err := o.child.quiet(ctx); err != nil {
		return nil, err
	}
	after, err := o.fleet.cpu()
	got.alone = after - before
	got.before = after
	return perEndpoint(events, 1), err
}

// beside is both streams at once, and then some time in which the slow
// receiver goes on working off what waits.
func (o *overload) beside(ctx context.Context, got *overloadFigures) (start time.Time, fast, slow []*item, err error) {
	forgetPeak(o.child.pid)
	start = time.Now()
	if len(o.fleet.children) > 1 {
		kill := time.AfterFunc(o.streams/2, func() {
			if err := o.fleet.killLast(); err != nil {
				o.fail(err)
			}
		})
		defer kill.Stop()
	}
	published := make(chan error, 1)
	go func() {
		var err error
		slow, err = o.stream(ctx, slowType, start, slowInterval)
		published <- err
	}()
	fast, err = o.stream(ctx, eventType, start, fastInterval)
	if slowErr := <-published; err == nil {
		err = slowErr
	}
	if err != nil {
		return start, nil, nil, err
	}
	got.SlowMessages, got.early = len(slow), o.crm.count()
	if got.Waiting, err = o.waiting(ctx); err != nil {
		return start, nil, nil, err
	}
	if err := wait(ctx, o.streams/2); err != nil {
		return start, nil, nil, err
	}
	// The first quarter of the stream is left out: so long a queue may take to form.
	got.measureDrain(o.crm.all(), start.Add(o.streams/4), time.Now().Add(-slowTakes))
	err = o.receiver.wait(ctx, len(fast)*2, time.Now())
	return start, perEndpoint(fast, 1), slow, err
}

// openGates lets all that still waits through at once, and sees that nothing is lost.
func (o *overload) openGates(ctx context.Context, got *overloadFigures, slow []*item) error {
	got.InFlight = o.crm.all().most()
	opened, left := time.Now(), len(slow)-o.crm.count()
	o.crm.become(0, http.StatusNoContent)
	if err := o.patch(ctx, map[string]any{"max_in_flight": 500}); err != nil {
		return err
	}
	if err := o.crm.wait(ctx, len(slow)); err != nil {
		return err
	}
	got.OpenedPerS = perSecond(left, time.Since(opened))
	if err := o.child.quiet(ctx); err != nil {
		return err
	}
	spent, err := o.fleet.cpu()
	if err != nil {
		return err
	}
	got.CPUMSPerSlow = each(spent-got.before-got.alone, len(slow))
	got.SlowDuplicates, err = o.crm.note(slow)
	return err
}
