package scenario

import (
	"context"
	"net/http"
	"time"

	"github.com/postdate/postdate/bench/report"
)

// outage: a stream, and during the middle half of it the receiver answers 503.
func outage(ctx context.Context, r *run) (*report.Measured, error) {
	const interval, takes, afterwards = time.Second / 50, 50 * time.Millisecond, 5 * time.Second
	endpoint, err := newSlowEndpoint(ctx, r, takes, map[string]any{
		"max_in_flight": slowInFlight,
		"retry":         map[string]any{"schedule": []string{"5s", "5s", "10s", "10s", "10s", "20s", "30s"}},
	})
	if err != nil {
		return nil, err
	}
	defer endpoint.close()
	start := time.Now()
	down, back := start.Add(r.options.Streams/4), start.Add(r.options.Streams*3/4)
	defer time.AfterFunc(time.Until(down), func() { endpoint.receiver.Become(takes, http.StatusServiceUnavailable) }).Stop()
	defer time.AfterFunc(time.Until(back), func() { endpoint.receiver.Become(takes, http.StatusNoContent) }).Stop()
	events, err := endpoint.stream(ctx, slowType, start, interval)
	if err != nil {
		return nil, err
	}
	if err := endpoint.receiver.Wait(ctx, len(events)); err != nil {
		return nil, err
	}
	recovered, calls := time.Since(back), endpoint.receiver.Calls()
	first := calls.FirstAccepted(back)
	figures := &report.SlowReceiver{
		InFlight: calls.MostInFlight(),
		Outage: &report.Outage{
			OutageS:    back.Sub(down).Seconds(),
			RecoveredS: report.Hundredths(recovered.Seconds()),
			// Those that began just before it was down may have been accepted.
			OutageAttempts: calls.Begun(down, back),
			BackAfterS:     report.Hundredths(first.Sub(back).Seconds()),
			BackAttempts:   calls.Begun(first, first.Add(afterwards)),
			BackInFlight:   calls.Between(first, first.Add(afterwards)).MostInFlight(),
		},
	}
	err = endpoint.note(figures, events)
	return &report.Measured{Messages: events, Since: start, SlowReceiver: figures}, err
}
