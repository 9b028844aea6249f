package main

import (
	"context"
	"net/http"
	"time"
)

// outageFigures is of a receiver that answers 503 for a while.
type outageFigures struct {
	OutageS        float64 `json:"outage_s"`
	OutageAttempts int     `json:"outage_attempts"`
	// BackAfterS is from when it was back to the next attempt, and RecoveredS to when all
	// was delivered.
	BackAfterS float64 `json:"back_after_s"`
	RecoveredS float64 `json:"recovered_s"`
	// What it saw in the 5 s from the first attempt on that it accepted again.
	BackAttempts int `json:"back_attempts_5s"`
	BackInFlight int `json:"back_in_flight_max_5s"`
}

// rateFigures is of an endpoint with a rate limit, while many wait.
type rateFigures struct {
	MostIn10S   int `json:"most_in_10s"`
	FewestIn10S int `json:"fewest_in_10s"`
}

// outage: a stream, and in the middle half of it the receiver answers 503.
func outage(ctx context.Context, s *stage) (*measured, error) {
	const interval, takes, calm = time.Second / 50, 50 * time.Millisecond, 5 * time.Second
	o, err := s.overloaded(ctx, takes, map[string]any{
		"max_in_flight": slowInFlight,
		"retry":         map[string]any{"schedule": []string{"5s", "5s", "10s", "10s", "10s", "20s", "30s"}},
	})
	if err != nil {
		return nil, err
	}
	defer o.close()
	start := time.Now()
	down, back := start.Add(o.streams/4), start.Add(o.streams*3/4)
	defer time.AfterFunc(time.Until(down), func() { o.crm.become(takes, http.StatusServiceUnavailable) }).Stop()
	defer time.AfterFunc(time.Until(back), func() { o.crm.become(takes, http.StatusNoContent) }).Stop()
	items, err := o.stream(ctx, slowType, start, interval)
	if err != nil {
		return nil, err
	}
	if err := o.crm.wait(ctx, len(items)); err != nil {
		return nil, err
	}
	got, all := &overloadFigures{outageFigures: &outageFigures{OutageS: back.Sub(down).Seconds()}}, o.crm.all()
	got.SlowMessages, got.InFlight = len(items), all.most()
	got.RecoveredS = hundredths(time.Since(back).Seconds())
	// Those that began just before it was down may have been accepted.
	got.OutageAttempts = all.begun(down, back)
	first := all.nextAccepted(back)
	got.BackAfterS = hundredths(first.Sub(back).Seconds())
	got.BackAttempts, got.BackInFlight = all.begun(first, first.Add(calm)), all.between(first, first.Add(calm)).most()
	got.SlowDuplicates, err = o.crm.note(items)
	return &measured{items: items, since: start, overloadFigures: got}, err
}

// rate50: a stream of twice what the endpoint may be sent.
func rate50(ctx context.Context, s *stage) (*measured, error) {
	const perSecond, interval, formed = 50, time.Second / 100, 5 * time.Second
	o, err := s.overloaded(ctx, 0, map[string]any{"rate_limit": map[string]any{"per_second": perSecond}})
	if err != nil {
		return nil, err
	}
	defer o.close()
	start := time.Now()
	items, err := o.stream(ctx, slowType, start, interval)
	if err != nil {
		return nil, err
	}
	got := &overloadFigures{rateFigures: &rateFigures{}, SlowMessages: len(items)}
	if got.Waiting, err = o.waiting(ctx); err != nil {
		return nil, err
	}
	// Half of what was published waits: for as long again as the streams lasted.
	if err := wait(ctx, o.streams/2); err != nil {
		return nil, err
	}
	all := o.crm.all()
	got.InFlight = all.most()
	got.MostIn10S, _ = all.windows(10*time.Second, start, time.Now())
	_, got.FewestIn10S = all.windows(10*time.Second, start.Add(formed), time.Now())
	if err := o.patch(ctx, map[string]any{"rate_limit": map[string]any{"per_second": 10_000}}); err != nil {
		return nil, err
	}
	if err := o.crm.wait(ctx, len(items)); err != nil {
		return nil, err
	}
	got.SlowDuplicates, err = o.crm.note(items)
	return &measured{items: items, since: start, overloadFigures: got}, err
}
