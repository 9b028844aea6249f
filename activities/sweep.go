package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// Find returns the deliveries that a filter matches, by the executions that carry them,
	// oldest first.
	Find(ctx context.Context, filter postdate.Filter) ([]protocol.Found, error)
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
	s := &sweep{
		change: change, changeGroup: a.groupAction(ctx, in), changeFound: a.listedAction(ctx, in),
		tenant: in.Filter.Tenant, log: a.Log, begun: make(map[string][]int),
	}
	again, err := a.resume(ctx, in, s)
	if err != nil {
		return protocol.SweepProgress{}, err
	}
	defer s.heartbeat(ctx)()
	s.changeAll(ctx, again)

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
		found, err := a.Deliveries.Find(ctx, filter)
		if err != nil {
			return protocol.SweepProgress{}, fmt.Errorf("find the deliveries to %s: %w", in.Action, err)
		}
		s.changeAll(ctx, found)
	}
	return s.now(), ctx.Err()
}

// resume has a sweep continue one whose worker died: that may have done more than it said last.
// Again are those that are to be changed once more.
func (a *Activities) resume(ctx context.Context, in protocol.SweepInput, s *sweep) (again []protocol.Found, err error) {
	info := activity.GetInfo(ctx)
	if info.Attempt <= 1 && !activity.HasHeartbeatDetails(ctx) {
		return nil, nil
	}
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &s.progress); err != nil {
			return nil, fmt.Errorf("read how far the sweep is: %w", err)
		}
	}
	s.progress.Failed = 0 // they still match
	switch in.Action {
	case protocol.SweepCancel:
		done, ids, err := a.Groups.ResumeCancel(ctx, in.Filter, info.ScheduledTime)
		if err != nil {
			return nil, fmt.Errorf("count what the sweep has cancelled: %w", err)
		}
		for _, id := range ids {
			again = append(again, protocol.Found{ID: id})
		}
		s.progress.Done = max(s.progress.Done, done)
	case protocol.SweepPostpone: // all still match, and what was put off is known again
		s.progress = protocol.SweepProgress{}
	case protocol.SweepRetry, protocol.SweepRelease:
	}
	s.progress.Found = s.progress.Done + s.progress.Skipped
	return again, nil
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
	// changeGroup changes schedules that share an execution.
	changeGroup groupFunc
	// changeFound changes all that was found in several executions: nil where that cannot be.
	changeFound listedFunc

	tenant string
	log    *slog.Logger
	// begun are those that were found before, since lists lag behind: of schedules that share,
	// or shared, an execution the places by its id, and of others a place by theirs.
	begun map[string][]int

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

// changeAll changes what was found, but nothing twice.
func (s *sweep) changeAll(ctx context.Context, found []protocol.Found) {
	found, n := s.begin(found)
	s.count(func(p *protocol.SweepProgress) { p.Found += n })
	var group errgroup.Group
	group.SetLimit(maxParallelChanges)
	for _, each := range s.changeListed(ctx, found) {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if each.Group == "" {
				s.changeOne(ctx, each.ID)
			} else {
				s.changeTogether(ctx, each)
			}
			return nil
		})
	}
	_ = group.Wait() // failures are counted
}

// changeOne changes one delivery, and counts the result.
func (s *sweep) changeOne(ctx context.Context, id string) {
	err := s.try(ctx, func(ctx context.Context) error { return s.change(ctx, s.tenant, id) })
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

// try makes a change, and tries again where that fails for the moment.
func (s *sweep) try(ctx context.Context, change func(context.Context) error) error {
	pause := changePause
	for attempt := 1; ; attempt++ {
		err := change(ctx)
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
