package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Deliveries finds deliveries and changes their course. A [postdate.Conflict] or
// [postdate.NotFound] says that it is too late for the change.
type Deliveries interface {
	// Find returns the ids of the deliveries that a filter matches, oldest first.
	Find(ctx context.Context, filter postdate.Filter) ([]string, error)
	RetryDelivery(ctx context.Context, tenant, id string) error
	CancelDelivery(ctx context.Context, tenant, id string) error
	// ReleaseDelivery signals to a delivery that its endpoint may be sent to again.
	ReleaseDelivery(ctx context.Context, tenant, id string) error
	// SupersedeDelivery signals to a waiting delivery that a newer message replaces it.
	SupersedeDelivery(ctx context.Context, tenant, id string) error
}

// Postponer puts off what is not due yet, once for each operation, which began at a time.
type Postponer interface {
	PostponeDelivery(ctx context.Context, tenant, id, operation string, began time.Time, by time.Duration) error
}

const (
	maxParallelChanges = 16
	maxChangeAttempts  = 4
	changePause        = 100 * time.Millisecond // before the second attempt; twice as long before each further one
	sweepHeartbeat     = time.Second
	releaseDelay       = 1200 * time.Millisecond // a process knows an endpoint as it was at most a second ago
)

// SweepDeliveries changes all deliveries that a filter matches, oldest first, some in
// parallel. If its worker dies, the next run finds them again: those that were changed do
// not match any more.
func (a *Activities) SweepDeliveries(ctx context.Context, in protocol.SweepInput) (protocol.SweepProgress, error) {
	change, err := a.sweepAction(ctx, in)
	if err != nil {
		return protocol.SweepProgress{}, err
	}
	s := &sweep{change: change, tenant: in.Filter.Tenant, log: a.Log, begun: make(map[string]bool)}
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &s.progress); err != nil {
			return protocol.SweepProgress{}, fmt.Errorf("read how far the sweep is: %w", err)
		}
		s.progress.Failed = 0 // they still match
		s.progress.Found = s.progress.Done + s.progress.Skipped
	}
	defer s.heartbeat(ctx)()

	if in.Action == protocol.SweepRelease {
		// Wait until every process knows that the endpoint is enabled: what is released
		// before that would be parked again, behind what is younger.
		select {
		case <-time.After(releaseDelay):
		case <-ctx.Done():
			return s.now(), ctx.Err()
		}
	}
	for _, state := range statesOf(in) {
		filter := in.Filter
		filter.State = state
		ids, err := a.Deliveries.Find(ctx, filter)
		if err != nil {
			return protocol.SweepProgress{}, fmt.Errorf("find the deliveries to %s: %w", in.Action, err)
		}
		s.changeAll(ctx, ids)
	}
	return s.now(), ctx.Err()
}

// statesOf are the states that the action is for, in such an order that a delivery whose
// state changes while the sweep searches is not missed.
func statesOf(in protocol.SweepInput) []postdate.State {
	switch {
	case in.Filter.State != "":
		return []postdate.State{in.Filter.State}
	case in.Action == protocol.SweepRetry:
		return []postdate.State{postdate.Dead}
	case in.Action == protocol.SweepRelease:
		return []postdate.State{postdate.Parked}
	case in.Action == protocol.SweepPostpone:
		return []postdate.State{postdate.Scheduled}
	default:
		// What a line has released may wait in it again.
		return []postdate.State{
			postdate.Scheduled, postdate.Waiting, postdate.Sending, postdate.Waiting, postdate.Retrying, postdate.Parked,
		}
	}
}

type sweepFunc func(ctx context.Context, tenant, id string) error

func (a *Activities) sweepAction(ctx context.Context, in protocol.SweepInput) (sweepFunc, error) {
	switch in.Action {
	case protocol.SweepRetry:
		return a.Deliveries.RetryDelivery, nil
	case protocol.SweepCancel:
		return a.Deliveries.CancelDelivery, nil
	case protocol.SweepRelease:
		return a.Deliveries.ReleaseDelivery, nil
	case protocol.SweepPostpone:
		// Another run of this activity has the same id and the same time.
		info := activity.GetInfo(ctx)
		return func(ctx context.Context, tenant, id string) error {
			return a.Postponer.PostponeDelivery(ctx, tenant, id, info.WorkflowExecution.RunID, info.ScheduledTime, in.By.Duration())
		}, nil
	}
	return nil, temporal.NewNonRetryableApplicationError(fmt.Sprintf("a sweep does not know the action %q", in.Action), "Sweep", nil)
}

// sweep is a run of SweepDeliveries.
type sweep struct {
	change sweepFunc
	tenant string
	log    *slog.Logger
	begun  map[string]bool // ids that were found before: lists lag behind

	mu       sync.Mutex
	progress protocol.SweepProgress
}

func (s *sweep) now() protocol.SweepProgress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress
}

func (s *sweep) count(add func(*protocol.SweepProgress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.progress)
}

// changeAll changes the deliveries of these ids, but none twice.
func (s *sweep) changeAll(ctx context.Context, ids []string) {
	ids = slices.DeleteFunc(ids, func(id string) bool { return s.begun[id] })
	for _, id := range ids {
		s.begun[id] = true
	}
	s.count(func(p *protocol.SweepProgress) { p.Found += len(ids) })
	var group errgroup.Group
	group.SetLimit(maxParallelChanges)
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			s.changeOne(ctx, id)
			return nil
		})
	}
	_ = group.Wait() // failures are counted
}

// changeOne changes one delivery, and counts the result.
func (s *sweep) changeOne(ctx context.Context, id string) {
	err := s.try(ctx, id)
	code := postdate.CodeOf(err)
	switch {
	case err == nil:
		s.count(func(p *protocol.SweepProgress) { p.Done++ })
	case code == postdate.Conflict || code == postdate.NotFound:
		s.count(func(p *protocol.SweepProgress) { p.Skipped++ })
	case ctx.Err() == nil:
		s.count(func(p *protocol.SweepProgress) { p.Failed++ })
		s.log.LogAttrs(ctx, slog.LevelError, "failed to change a delivery in a sweep",
			slog.String("tenant", s.tenant), slog.String("delivery", id), slog.String("error", err.Error()))
	}
}

// try changes one delivery, and tries again where that fails for the moment.
func (s *sweep) try(ctx context.Context, id string) error {
	pause := changePause
	for attempt := 1; ; attempt++ {
		err := s.change(ctx, s.tenant, id)
		refusal, refused := errors.AsType[*postdate.Error](err)
		if err == nil || attempt == maxChangeAttempts || refused && refusal.Code != postdate.Unavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// heartbeat records the progress every second, until the function that it returns is
// called.
func (s *sweep) heartbeat(ctx context.Context) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(sweepHeartbeat)
		defer tick.Stop()
		for {
			activity.RecordHeartbeat(ctx, s.now())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		activity.RecordHeartbeat(ctx, s.now()) // if it fails, the next attempt continues from here
	}
}
