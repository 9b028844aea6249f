package scenario

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// inboundSlower are the lower paces at which webhooks with ids come too: they show where the
// machine's limit begins.
var inboundSlower = []time.Duration{time.Second / 50, time.Second / 100}

// inbound: 200 webhooks a second into a source whose receiver takes 1.5 s for each, with ids
// and without; then as many as are accepted. Beside them unnamed events, by the API, and
// webhooks with ids at lower paces.
func inbound(ctx context.Context, r *run) (*report.Measured, error) {
	endpoint, err := newSlowEndpoint(ctx, r, slowTakes, map[string]any{"max_in_flight": slowInFlight})
	if err != nil {
		return nil, err
	}
	defer endpoint.close()
	source, err := r.postdate.NewInbound(ctx, endpoint.id)
	if err != nil {
		return nil, err
	}
	named := source
	named.Named = true
	loads := []inboundLoad{
		{name: "named", to: named, interval: slowInterval},
		{name: "unnamed", to: source, interval: slowInterval},
		{name: "events", to: system.Events{Postdate: r.postdate, Type: slowType}, interval: slowInterval},
	}
	for _, interval := range inboundSlower {
		loads = append(loads, inboundLoad{name: "named-each-" + interval.String(), to: named, interval: interval})
	}
	var all []*rig.Message
	for i := range loads {
		l := &loads[i]
		if err := endpoint.takeIn(ctx, l, len(all)); err != nil {
			return nil, err
		}
		all = slices.Concat(all, l.stream, l.burst)
	}
	if err := endpoint.receiver.Note(all); err != nil {
		return nil, err
	}
	peak, err := r.postdate.PeakMemory()
	return &report.Measured{
		Messages: loads[0].stream, Since: loads[0].stream[0].Sent, PeakMemory: peak,
		Inbound: &report.Inbound{
			InboundMessages: len(all), Named: loads[0].measured(), Unnamed: loads[1].measured(), Events: loads[2].measured(),
			NamedSlower: []report.InboundLoad{loads[3].measured(), loads[4].measured()},
		},
	}, err
}

// inboundLoad is one way to hand messages over.
type inboundLoad struct {
	name          string
	to            rig.Publisher
	interval      time.Duration
	stream, burst []*rig.Message
}

func (l *inboundLoad) measured() report.InboundLoad {
	return report.InboundLoadOf(l.interval, l.stream, l.burst)
}

// takeIn hands a load over at its pace, while the receiver falls behind; lets it catch up;
// and hands over as many as are accepted. What one load leaves to do is done before the next
// begins, after so many that were received.
func (e *slowEndpoint) takeIn(ctx context.Context, l *inboundLoad, before int) error {
	if err := e.become(ctx, slowTakes, slowInFlight); err != nil {
		return err
	}
	if err := e.postdate.WaitQuiet(ctx); err != nil {
		return err
	}
	l.stream = rig.NewMessages(int(e.options.Streams/l.interval), l.name, "", time.Time{})
	if err := rig.PublishAtPace(ctx, l.to, time.Now(), l.interval, l.stream); err != nil {
		return err
	}
	if err := e.become(ctx, 0, 500); err != nil {
		return err
	}
	if err := e.receiver.Wait(ctx, before+len(l.stream)); err != nil {
		return err
	}
	if l.interval != slowInterval {
		return nil
	}
	l.burst = rig.NewMessages(e.options.Messages, l.name+"-burst", "", time.Time{})
	if err := e.publishAll(ctx, l.to, l.burst); err != nil {
		return err
	}
	return e.receiver.Wait(ctx, before+len(l.stream)+len(l.burst))
}

// become makes the receiver take so long, and the endpoint have so many under way.
func (e *slowEndpoint) become(ctx context.Context, takes time.Duration, inFlight int) error {
	e.receiver.Become(takes, http.StatusNoContent)
	return e.update(ctx, map[string]any{"max_in_flight": inFlight})
}
