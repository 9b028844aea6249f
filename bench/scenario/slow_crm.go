package scenario

import (
	"context"
	"net/http"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// The pace of the two streams, and of the receiver that cannot keep up with its own.
const (
	slowInterval = time.Second / 200
	fastInterval = time.Second / 20
	slowTakes    = 1500 * time.Millisecond
	slowInFlight = 10
)

// slowCRM is a stream that its receiver cannot take, and beside it one that is not to
// notice that. The row is the fast stream's.
type slowCRM struct {
	workers int // that send; one of several is killed in the middle
}

func (c slowCRM) run(ctx context.Context, r *run) (*report.Measured, error) {
	endpoint, err := newSlowEndpoint(ctx, r, slowTakes, map[string]any{"max_in_flight": slowInFlight})
	if err != nil {
		return nil, err
	}
	defer endpoint.close()
	if err := endpoint.workers.Add(ctx, c.workers-1); err != nil {
		return nil, err
	}
	if err := r.postdate.Subscribe(ctx, r.rig.Receiver.URL, eventType, 1); err != nil {
		return nil, err
	}
	s := &twoStreams{slowEndpoint: endpoint}
	for _, step := range []func(context.Context) error{s.fastAlone, s.both, s.workOff, s.liftLimits} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s.measured(ctx)
}

// twoStreams are the streams of one run, and what is measured of them.
type twoStreams struct {
	*slowEndpoint

	alone, fast, slow []*rig.Message
	figures           report.SlowReceiver

	start     time.Time     // of both streams
	cpuAlone  time.Duration // of the fast stream alone
	cpuBefore time.Duration // at the start of both
	early     int           // slow events that arrived while the streams lasted
}

// fastAlone is the fast stream without the slow one.
func (s *twoStreams) fastAlone(ctx context.Context) error {
	before, err := s.workers.CPUTime()
	if err != nil {
		return err
	}
	events, err := s.stream(ctx, eventType, time.Now(), fastInterval)
	if err != nil {
		return err
	}
	if err := s.rig.Receiver.Wait(ctx, len(events), time.Now()); err != nil {
		return err
	}
	if err := s.postdate.WaitQuiet(ctx); err != nil {
		return err
	}
	s.alone = rig.PerEndpoint(events, 1)
	s.cpuBefore, err = s.workers.CPUTime()
	s.cpuAlone = s.cpuBefore - before
	return err
}

// both is both streams at once. In the middle the last worker is killed.
func (s *twoStreams) both(ctx context.Context) error {
	s.postdate.ForgetPeak()
	s.start = time.Now()
	slow, killed := make(chan error, 1), make(chan error, 1)
	go func() {
		var err error
		s.slow, err = s.stream(ctx, slowType, s.start, slowInterval)
		slow <- err
	}()
	go func() {
		err := rig.Sleep(ctx, s.options.Streams/2)
		if err == nil {
			err = s.workers.KillLast()
		}
		killed <- err
	}()
	fast, err := s.stream(ctx, eventType, s.start, fastInterval)
	for _, other := range []chan error{slow, killed} {
		if otherErr := <-other; err == nil {
			err = otherErr
		}
	}
	if err != nil {
		return err
	}
	s.fast, s.early = rig.PerEndpoint(fast, 1), s.receiver.Count()
	s.figures.Waiting, err = s.waiting(ctx)
	return err
}

// workOff is some time in which the slow receiver goes on at its own pace.
func (s *twoStreams) workOff(ctx context.Context) error {
	if err := rig.Sleep(ctx, s.options.Streams/2); err != nil {
		return err
	}
	// The first quarter of the stream is left out: so long a queue may take to form.
	from, to := s.start.Add(s.options.Streams/4), time.Now().Add(-slowTakes)
	s.figures.DrainedPerS = report.Hundredths(s.receiver.Calls().Work(from, to) / to.Sub(from).Seconds())
	s.figures.DrainedPart = report.Hundredths(s.figures.DrainedPerS / (slowInFlight / slowTakes.Seconds()))
	return s.rig.Receiver.Wait(ctx, len(s.alone)+len(s.fast), time.Now())
}

// liftLimits lets all that still waits through at once, and fails where something was
// lost.
func (s *twoStreams) liftLimits(ctx context.Context) error {
	s.figures.InFlight = s.receiver.Calls().MostInFlight()
	lifted, left := time.Now(), len(s.slow)-s.receiver.Count()
	s.receiver.Become(0, http.StatusNoContent)
	if err := s.update(ctx, map[string]any{"max_in_flight": 500}); err != nil {
		return err
	}
	if err := s.receiver.Wait(ctx, len(s.slow)); err != nil {
		return err
	}
	s.figures.OpenedPerS = report.PerSecond(left, time.Since(lifted))
	if err := s.postdate.WaitQuiet(ctx); err != nil {
		return err
	}
	spent, err := s.workers.CPUTime()
	if err != nil {
		return err
	}
	s.figures.CPUMSPerSlow = report.MillisEach(spent-s.cpuBefore-s.cpuAlone, len(s.slow))
	return s.note(&s.figures, s.slow)
}

// measured puts the fast stream beside itself, and adds what Temporal had to do.
func (s *twoStreams) measured(ctx context.Context) (*report.Measured, error) {
	if err := s.rig.Receiver.Note(append(s.alone, s.fast...)); err != nil {
		return nil, err
	}
	s.compareFast()
	peak, err := s.postdate.PeakMemory()
	if err != nil {
		return nil, err
	}
	s.figures.Transitions, err = s.postdate.Transitions(ctx, s.start, system.Dispatch, system.Line, system.Deliver, system.Endpoint)
	s.shareTransitions()
	return &report.Measured{Messages: s.fast, Since: s.start, PeakMemory: peak, SlowReceiver: &s.figures}, err
}

// compareFast compares the fast stream beside the slow one with the fast one alone.
func (s *twoStreams) compareFast() {
	beside, alone := report.ReceiptOf(s.fast), report.ReceiptOf(s.alone)
	s.figures.FastAloneMS = alone
	if beside != nil && alone != nil && alone.P99 > 0 {
		s.figures.FastRatio = report.Hundredths(beside.P99 / alone.P99)
	}
}

// shareTransitions divides Temporal's work by the events that waited. Those that
// arrived while the streams lasted do not count as waiting, though most of them did.
// Of the executions that carry both streams the slow one has its part; only its
// events wait in lines.
func (s *twoStreams) shareTransitions() {
	transitions, slow := s.figures.Transitions, len(s.slow)
	waited := float64(max(1, slow-s.early))
	own := transitions[system.Line] + transitions[system.Deliver] + transitions[system.Endpoint]
	s.figures.TransitionsPerWaiting = report.Hundredths(own/waited + transitions[system.Dispatch]/float64(slow+len(s.fast)))
}
