package scenario

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

const (
	// kills is how often the process is killed: about in the middle of each half of the
	// streams, so that no crash finds what an earlier one has delayed.
	kills = 2
	// afterBurst has a crash find a burst half sent.
	afterBurst = time.Second
)

// crashedLoad is one of the streams that go on while the process is killed and started
// again.
type crashedLoad struct {
	name     string
	takes    time.Duration  // that its receiver takes for a call
	refusals int            // of each message by its receiver
	every    time.Duration  // from burst to burst
	burst    int            // messages that are sent together
	ahead    time.Duration  // a schedule is due so much later than it is sent, every other one at once
	kind     string         // of its events; empty: schedules to a bare url
	endpoint map[string]any // the endpoint's settings

	receiver *rig.FlakyReceiver
	messages []*rig.Message
}

// crashedLoads are those that wait in different places when the process dies: in a
// workflow task, in a retried activity, and in a line.
func crashedLoads() []*crashedLoad {
	return []*crashedLoad{
		{name: "bare url", takes: time.Second, every: 200 * time.Millisecond, burst: 1, ahead: time.Second},
		{name: "failing endpoint", takes: 500 * time.Millisecond, refusals: 2, every: 500 * time.Millisecond, burst: 1, kind: "crash.failing", endpoint: map[string]any{
			"retry": map[string]any{"schedule": []string{"1s", "1s", "1s", "1s", "1s", "1s"}},
		}},
		{name: "paced endpoint", takes: 500 * time.Millisecond, every: 5 * time.Second, burst: 20, kind: "crash.paced", endpoint: map[string]any{
			"rate_limit": map[string]any{"per_second": 20}, "max_in_flight": 20,
		}},
	}
}

// crash: the process is killed and started again, while three loads go on.
func crash(ctx context.Context, r *run) (*report.Measured, error) {
	// Before some of what is under way is taken, a timeout may have to pass.
	const patience = 4 * time.Minute
	loads := crashedLoads()
	defer func() {
		for _, load := range loads {
			load.close()
		}
	}()
	for _, load := range loads {
		if err := load.open(ctx, r); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	group, streaming := errgroup.WithContext(ctx)
	for _, load := range loads {
		group.Go(func() error { return load.stream(streaming, r, start) })
	}
	var killed []time.Time
	var down []time.Duration
	group.Go(func() (err error) {
		killed, down, err = r.crash(ctx, start) // the process outlives the streams
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("under crashes: %w", err)
	}
	var all []*rig.Message
	figures := make([]report.CrashedLoad, 0, len(loads))
	for _, load := range loads {
		if err := load.receiver.Wait(ctx, len(load.messages), patience); err != nil {
			return nil, fmt.Errorf("%s: %w", load.name, err)
		}
	}
	for _, load := range loads {
		if err := load.receiver.Note(load.messages); err != nil {
			return nil, fmt.Errorf("%s: %w", load.name, err)
		}
		figures = append(figures, report.CrashedLoadOf(load.name, load.messages, killed, load.receiver.Repeated(load.messages)))
		all = append(all, load.messages...)
	}
	return &report.Measured{Messages: all, Since: start, Crashes: report.CrashesOf(down, figures)}, nil
}

// crash kills the process again and again, and starts it again at once. It returns when
// each kill was and how long the process was away.
func (r *run) crash(ctx context.Context, start time.Time) (killed []time.Time, down []time.Duration, err error) {
	for n := range kills {
		at := start.Add(r.options.Streams*time.Duration(2*n+1)/(2*kills) + afterBurst)
		if err := rig.Sleep(ctx, time.Until(at)); err != nil {
			return nil, nil, err
		}
		now := time.Now()
		if err := r.killAndStart(ctx); err != nil {
			return nil, nil, err
		}
		killed, down = append(killed, now), append(down, time.Since(now))
	}
	return killed, down, nil
}

// killAndStart kills postdate, and starts it again at once on the same data.
func (r *run) killAndStart(ctx context.Context) error {
	if err := r.postdate.Kill(); err != nil {
		return err
	}
	if err := r.postdate.Start(ctx); err != nil {
		return err
	}
	r.postdate.OnCrash(r.fail)
	return nil
}

// open starts the receiver, and registers its endpoint if it has one.
func (l *crashedLoad) open(ctx context.Context, r *run) (err error) {
	if l.receiver, err = rig.StartFlakyReceiver(ctx, l.takes, l.refusals); err != nil || l.kind == "" {
		return err
	}
	l.endpoint["url"], l.endpoint["event_types"] = l.receiver.URL, []string{l.kind}
	_, err = r.postdate.Register(ctx, l.endpoint)
	return err
}

// close stops the receiver, if it was started.
func (l *crashedLoad) close() {
	if l.receiver != nil {
		l.receiver.Stop()
	}
}

// stream hands the messages over in bursts, as long as streams last.
func (l *crashedLoad) stream(ctx context.Context, r *run, start time.Time) error {
	to := l.publisher(r)
	l.messages = rig.NewMessages(int(r.options.Streams/l.every)*l.burst, strings.ReplaceAll(l.name, " ", "-"), l.receiver.URL, time.Time{})
	requests, ctx := errgroup.WithContext(ctx)
	for i, m := range l.messages {
		m.Sent = start.Add(time.Duration(i/l.burst) * l.every)
		if l.ahead > 0 && i%2 == 1 {
			m.Due = m.Sent.Add(l.ahead).Truncate(time.Millisecond)
		}
		if rig.Sleep(ctx, time.Until(m.Sent)) != nil {
			break
		}
		requests.Go(func() error {
			err := to.Publish(ctx, m)
			m.Accepted = time.Now()
			return err
		})
	}
	return requests.Wait() //nolint:wrapcheck // each publisher says what it did
}

// publisher is what the messages are handed to. Events have ids, so that one that is
// published again is the same.
func (l *crashedLoad) publisher(r *run) rig.Publisher {
	if l.kind == "" {
		return persistent{r.postdate}
	}
	return persistent{system.Events{Postdate: r.postdate, Type: l.kind, Named: true}}
}

// persistent publishes again what was not answered, since the process was away.
type persistent struct{ rig.Publisher }

// Publish fails where the process stays away.
func (p persistent) Publish(ctx context.Context, m *rig.Message) error {
	const again, limit = 100 * time.Millisecond, time.Minute
	for begin := time.Now(); ; {
		err := p.Publisher.Publish(ctx, m)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Since(begin) > limit {
			return fmt.Errorf("publish again and again: %w", err)
		}
		if err := rig.Sleep(ctx, again); err != nil {
			return err
		}
	}
}
