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
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// lineDuration is how long permits are acquired for a line.
	lineDuration = time.Minute
	// lineHeartbeat is how often the progress of a line is recorded. If the worker dies,
	// what was not recorded is sent again.
	lineHeartbeat = time.Second
	// permitHold is how long a permit is held for a delivery with an execution of its own,
	// which takes about as long to acquire one itself.
	permitHold = 200 * time.Millisecond
)

// SendLine makes the first attempts at the entries of a line, one after another as
// permits come, and releases those that have executions of their own. What fails
// continues as a delivery of its own at once. It ends when all is done, when no permit
// comes for a while, or after a minute: entries that its result does not name still wait.
func (a *Activities) SendLine(ctx context.Context, in protocol.SendLineInput) (protocol.LineProgress, error) {
	line := &lineSend{
		Activities: a, SendLineInput: in, until: time.Now().Add(protocol.LineMaxWait), starting: make(chan struct{}, maxParallelStarts),
	}
	line.Again = in.Again || activity.GetInfo(ctx).Attempt > 1
	if activity.HasHeartbeatDetails(ctx) {
		line.Again = true
		if err := activity.GetHeartbeatDetails(ctx, &line.progress); err != nil {
			return protocol.LineProgress{}, fmt.Errorf("read how far the line is: %w", err)
		}
	}
	line.progress.Sending = nil
	if line.progress.Made == nil {
		line.progress.Made = make(map[int]postdate.Attempt)
	}
	before := line.size()

	stop := startHeartbeats(ctx, lineHeartbeat, func() any { return line.soFar() })
	err := line.resume(ctx)
	if err == nil {
		err = line.send(ctx)
	}
	line.reportStopped(ctx)
	line.underWay.Wait()
	stop()

	activity.RecordHeartbeat(context.WithoutCancel(ctx), line.soFar())
	if err != nil && line.size() == before {
		return protocol.LineProgress{}, err
	}
	return line.soFar(), nil // entries that an error stopped still wait
}

// lineSend is a run of SendLine.
type lineSend struct {
	*Activities
	protocol.SendLineInput

	until    time.Time // no permit is waited for any longer
	underWay sync.WaitGroup
	starting chan struct{} // bounds the deliveries that are started in parallel

	mu       sync.Mutex
	progress protocol.LineProgress
}

// reportStopped reports to the line that no further attempts are begun, where it has asked
// for that: it does not have to wait for those that are under way, to cancel others.
func (l *lineSend) reportStopped(ctx context.Context) {
	if !temporal.IsCanceledError(context.Cause(ctx)) {
		return // the next run of the activity may have begun already
	}
	line := activity.GetInfo(ctx).WorkflowExecution
	err := l.Queue.ReportStopped(context.WithoutCancel(ctx), line.ID, line.RunID, protocol.LineStopped{Run: l.Run, Begun: l.begun()})
	if err != nil {
		l.Log.LogAttrs(ctx, slog.LevelWarn, "failed to report that a line has stopped; it waits for its attempts", slog.String("tenant", l.Tenant),
			slog.String("line", line.ID), slog.String("error", err.Error()))
	}
}

// resume continues an earlier run that was lost: it hands over what had failed, and finds
// out what had been handed over without being recorded.
func (l *lineSend) resume(ctx context.Context) error {
	for place, attempt := range l.soFar().Made {
		l.underWay.Go(func() { l.moveFailed(ctx, place, attempt) })
	}
	if !l.Again {
		return nil
	}
	return l.findMoved(ctx)
}

// findMoved finds out which deliveries have executions of their own already.
func (l *lineSend) findMoved(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelStarts)
	for place, entry := range l.Entries {
		if entry.Message == nil || l.done(place) {
			continue
		}
		group.Go(func() error {
			started, err := l.Starter.Started(ctx, l.Tenant, entry.DeliveryID)
			if started {
				l.markMoved(place)
			}
			return err
		})
	}
	return group.Wait()
}

// send acquires permits for one entry after another.
func (l *lineSend) send(ctx context.Context) error {
	deadline := time.Now().Add(lineDuration)
	acquiring, stop := context.WithDeadline(ctx, l.until)
	defer stop()
	go stopWith(acquiring, activity.GetWorkerStopChannel(ctx), stop)
	for place, entry := range l.Entries {
		if entry.DeliveryID == "" || l.done(place) {
			continue
		}
		if time.Now().After(deadline) || acquiring.Err() != nil {
			return nil
		}
		_, e, known, err := l.resolve(acquiring, l.Tenant, l.Endpoint)
		switch {
		case err != nil:
			return err
		case !known:
			l.failDeleted()
			return l.releaseAll(ctx)
		case !l.isFor(e):
			return nil
		}
		e = e.At(l.Canary)
		permit, err := l.acquire(acquiring, l.Tenant, e, throttle.PermitRequest{Dequeued: true, Since: entry.At, MaxWait: time.Until(l.until)})
		switch {
		case acquiring.Err() != nil:
			if err == nil {
				permit.Release(postdate.Attempt{})
			}
			return nil
		case errors.Is(err, throttle.ErrNoPermit):
			return nil
		case err != nil:
			return fmt.Errorf("acquire a permit for %s: %w", entry.DeliveryID, err)
		}
		// It may have been paused while the permit was waited for.
		if _, e, known, err = l.resolve(acquiring, l.Tenant, l.Endpoint); err != nil || !known || e.State != postdate.Enabled || e.Side("", l.took()) != l.Canary {
			permit.Release(postdate.Attempt{})
			return err
		}
		if err := l.use(ctx, place, permit, e.At(l.Canary)); err != nil {
			return err
		}
	}
	return nil
}

// isFor reports whether e gets what is in the line: it is neither paused nor pulled from, and
// its canary has not been rolled back.
func (l *lineSend) isFor(e postdate.Endpoint) bool {
	if l.Canary != "" && e.Side("", l.Canary) == "" {
		l.leaveCanary()
		return false
	}
	return e.State == postdate.Enabled && !e.Pull
}

// stopWith calls stop when the worker stops: the next run continues.
func stopWith(acquiring context.Context, stopping <-chan struct{}, stop context.CancelFunc) {
	select {
	case <-stopping:
		stop()
	case <-acquiring.Done():
	}
}

// use uses a permit for the entry at place.
func (l *lineSend) use(ctx context.Context, place int, permit throttle.Permit, e postdate.Endpoint) error {
	if l.Entries[place].Message != nil {
		l.begin(place)
		l.underWay.Go(func() { l.attempt(ctx, place, permit, e) })
		return nil
	}
	// The permit is held until the delivery acquires one itself, so that no more are
	// released than find one.
	l.underWay.Go(func() {
		time.Sleep(permitHold)
		permit.Release(postdate.Attempt{})
	})
	return l.release(ctx, place)
}

// attempt makes the first attempt at the entry at place.
func (l *lineSend) attempt(ctx context.Context, place int, permit throttle.Permit, e postdate.Endpoint) {
	entry := l.Entries[place]
	attempt, err := l.attemptWithPermit(ctx, permit, protocol.DeliveryTask{
		DeliveryID: entry.DeliveryID, Message: *entry.Message, To: postdate.Destination{Endpoint: l.Endpoint}, DueAt: entry.At,
		Timeout: entry.OwnTimeout, ExpiresAt: entry.ExpiresAt,
	}, e)
	if err != nil {
		l.end(place)
		return // a failure of our own: the entry still waits
	}
	attempt = attempt.Excerpt(min(postdate.MaxResponse, maxGroupResponses/len(l.Entries)))
	l.record(place, attempt)
	l.moveFailed(ctx, place, attempt)
}

// moveFailed hands the entry at place over, if its attempt failed. Once ctx is cancelled
// that is left to the line, which knows what was cancelled.
func (l *lineSend) moveFailed(ctx context.Context, place int, attempt postdate.Attempt) {
	if !protocol.Attempted(attempt.Outcome) || attempt.Outcome == postdate.Accepted {
		return
	}
	l.starting <- struct{}{}
	defer func() { <-l.starting }()
	if ctx.Err() != nil {
		return
	}
	entry := l.Entries[place]
	err := l.handOver(ctx, protocol.HandOverInput{Messages: []postdate.Message{*entry.Message}, At: entry.At},
		protocol.Undelivered{GroupItem: protocol.GroupItem{Endpoint: l.Endpoint, Terms: entry.Terms}, Attempts: postdate.Attempts{}.Append(attempt)})
	if err != nil {
		l.Log.LogAttrs(ctx, slog.LevelWarn, "failed to hand over a delivery whose attempt failed; its line does", slog.String("tenant", l.Tenant),
			slog.String("delivery", entry.DeliveryID), slog.String("endpoint", l.Endpoint), slog.String("error", err.Error()))
		return
	}
	l.markMoved(place)
}

// release signals to a delivery with an execution of its own to make its attempt. One that
// has ended needs no permit.
func (l *lineSend) release(ctx context.Context, place int) error {
	err := l.Deliveries.ReleaseDelivery(ctx, l.Tenant, l.Entries[place].DeliveryID)
	if err != nil && postdate.CodeOf(err) != postdate.NotFound {
		return err
	}
	l.markMoved(place)
	return nil
}

// failDeleted records for all entries with a message that the endpoint was deleted.
func (l *lineSend) failDeleted() {
	for place, entry := range l.Entries {
		if entry.Message != nil && !l.done(place) {
			l.record(place, postdate.Attempt{At: l.Now(), Outcome: protocol.EndpointDeleted})
		}
	}
}

// releaseAll releases all deliveries with executions of their own.
func (l *lineSend) releaseAll(ctx context.Context) error {
	for place, entry := range l.Entries {
		if entry.Message == nil && entry.DeliveryID != "" && !l.done(place) {
			if err := l.release(ctx, place); err != nil {
				return err
			}
		}
	}
	return nil
}
