package main

import (
	"context"
	"slices"
	"time"
)

// scenario is one way to use Postdate, and so one row of the table.
type scenario struct {
	name   string
	in     extent
	rivals []string // who does it too, in rounds
	run    func(context.Context, *stage) (*measured, error)
}

// extent is which runs a scenario belongs to, unless it is asked for by name.
type extent int

const (
	quick extent = iota // every run, also with --quick
	full                // all but those with --quick
	named               // none: it takes too long
)

var scenarios = []scenario{
	{"immediate", quick, []string{naiveEngine, floorEngine}, immediate},
	{"due_spread", full, nil, dueSpread},
	{"due_at_once", quick, []string{naiveEngine, batch1Engine, batch16Engine}, stampede{1}.run},
	{"due_at_once_30000", named, []string{batch1Engine, batch16Engine}, stampede{10}.run},
	{"due_in_2s", full, nil, dueIn2s},
	{"steady", quick, nil, steady},
	{"fan_out_1", full, nil, fanOut{1, 50}.named},
	{"fan_out_10", full, nil, fanOut{10, 35}.named},
	{"fan_out_100", full, nil, fanOut{100, 10}.named},
	{"unnamed_1", quick, nil, fanOut{1, 300}.unnamed},
	{"unnamed_10", full, nil, fanOut{10, 100}.unnamed},
	{"batch", quick, nil, batch},
	{"tenants", full, nil, tenants},
	{"far_future", full, nil, farFuture},
	{"slow_crm", full, nil, slowCRM{workers: 1}.run},
	{"slow_crm_3", named, nil, slowCRM{workers: 3}.run},
	{"outage", named, nil, outage},
	{"rate_50", named, nil, rate50},
}

// picks tells whether s is measured in this run.
func (o options) picks(s scenario) bool {
	switch {
	case len(o.only) > 0:
		return slices.Contains(o.only, s.name)
	case o.postgres != "":
		return postgresRivals[s.name] != nil
	case o.quick:
		return s.in == quick
	default:
		return s.in != named
	}
}

// alone tells whether s is measured without its rivals. With --quick only
// immediate has any: those in due_at_once take longer than all the rest.
func (o options) alone(s scenario) bool {
	return !o.rivals || o.quick && len(o.only) == 0 && s.name != "immediate"
}

// roundsOf is how often s is measured. What is judged by small differences is
// measured more often.
func (o options) roundsOf(s scenario) int {
	switch {
	case len(s.rivals) == 0:
		return 1
	case s.name == "immediate":
		return 3 * o.rounds
	default:
		return o.rounds
	}
}

// leftOut are the scenarios that a run of that extent leaves out and a larger
// one has.
func leftOut(of extent) []string {
	var names []string
	for _, s := range scenarios {
		if s.in == of+1 {
			names = append(names, s.name)
		}
	}
	return names
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

// immediate: as many messages as it takes, due at once, as fast as they are accepted.
// The naive program is spared five of six, for it takes so long; that its database
// stays small is a kindness.
func immediate(ctx context.Context, s *stage) (*measured, error) {
	n := s.messages
	if _, naive := s.engine.(*naive); naive {
		n = max(min(n, 100), n/6)
	}
	items := newItems(n, "immediate", s.receiver.url, time.Time{})
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := publishAll(ctx, s.engine, s.clients, items); err != nil {
		return nil, err
	}
	if err := s.receiver.wait(ctx, len(items), start); err != nil {
		return nil, err
	}
	return s.finish(ctx, m, items, start)
}

// dueIn2s: single messages on an idle machine, each due two seconds ahead.
func dueIn2s(ctx context.Context, s *stage) (*measured, error) {
	items := newItems(s.singles, "due_in_2s", s.receiver.url, time.Time{})
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		i.due = inMS(2 * time.Second)
		if err := publishAll(ctx, s.engine, 1, []*item{i}); err != nil {
			return nil, err
		}
		// Not a whole second, so that they fall on every part of one.
		if err := wait(ctx, 1037*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := s.receiver.wait(ctx, len(items), items[len(items)-1].due); err != nil {
		return nil, err
	}
	got, err := s.finish(ctx, m, items, items[0].due)
	if err == nil {
		got.cpu = 0 // nearly all of it is idling
	}
	return got, err
}

// steady: 50 messages a second, every other one due two seconds ahead.
func steady(ctx context.Context, s *stage) (*measured, error) {
	const interval = time.Second / 50
	items := newItems(int(s.steady/interval), "steady", s.receiver.url, time.Time{})
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for n := 1; n < len(items); n += 2 {
		items[n].due = start.Add(time.Duration(n)*interval + 2*time.Second).Truncate(time.Millisecond)
	}
	if err := publishAtPace(ctx, s.engine, start, interval, items); err != nil {
		return nil, err
	}
	if err := s.receiver.wait(ctx, len(items), start.Add(s.steady+2*time.Second)); err != nil {
		return nil, err
	}
	return s.finish(ctx, m, items, start)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return stopped(ctx)
	}
}
