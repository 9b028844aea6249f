package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
)

// rate50: a stream of twice what the endpoint may be sent.
func rate50(ctx context.Context, r *run) (*report.Measured, error) {
	const perSecond, interval = 50, time.Second / 100
	const forms, window = 5 * time.Second, 10 * time.Second
	endpoint, err := newSlowEndpoint(ctx, r, 0, map[string]any{"rate_limit": map[string]any{"per_second": perSecond}})
	if err != nil {
		return nil, err
	}
	defer endpoint.close()
	start := time.Now()
	events, err := endpoint.stream(ctx, slowType, start, interval)
	if err != nil {
		return nil, err
	}
	figures := &report.SlowReceiver{RateLimit: &report.RateLimit{}}
	if figures.Waiting, err = endpoint.waiting(ctx); err != nil {
		return nil, err
	}
	// Half of what was published waits: for as long again as the streams lasted.
	if err := rig.Sleep(ctx, r.options.Streams/2); err != nil {
		return nil, err
	}
	calls := endpoint.receiver.Calls()
	figures.InFlight = calls.MostInFlight()
	figures.MostIn10S, _ = calls.Windows(window, start, time.Now())
	_, figures.FewestIn10S = calls.Windows(window, start.Add(forms), time.Now()) // once a queue has formed
	if err := endpoint.update(ctx, map[string]any{"rate_limit": map[string]any{"per_second": 10_000}}); err != nil {
		return nil, err
	}
	if err := endpoint.receiver.Wait(ctx, len(events)); err != nil {
		return nil, err
	}
	err = endpoint.note(figures, events)
	return &report.Measured{Messages: events, Since: start, SlowReceiver: figures}, err
}
