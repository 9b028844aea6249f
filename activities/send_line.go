package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// lineDuration is how long turns are taken for a line.
	lineDuration = time.Minute
	// lineHeartbeat is how often it is told how far a line is. What was not told is sent
	// again where the worker dies.
	lineHeartbeat = time.Second
	// permitHold is how long the turn of a delivery with an execution of its own is
	// kept for it: it takes about as long to come for one.
	permitHold = 200 * time.Millisecond
)

// SendLine makes the first attempts at the waiters of a line, one after another
// as turns come, and tells those that have executions of their own. What fails goes
// on as a delivery of its own at once. It ends when all is done, when no turn comes
// for a while, or after a minute: what it does not mention still waits.
func (a *Activities) SendLine(ctx context.Context, in protocol.SendLineInput) (protocol.LineProgress, error) {
	line := &lineSend{
		Activities: a, SendLineInput: in, until: time.Now().Add(protocol.LineMaxWait), starting: make(chan struct{}, handOverSideBySide),
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

	beating, stop := context.WithCancel(ctx)
	var beats sync.WaitGroup
	beats.Go(func() { line.beat(beating, ctx) })
	err := line.resume(ctx)
	if err == nil {
		err = line.send(ctx)
	}
	line.underWay.Wait()
	stop()
	beats.Wait()

	activity.RecordHeartbeat(ctx, line.soFar())
	if err != nil && line.size() == before {
		return protocol.LineProgress{}, err
	}
	return line.soFar(), nil // what an error stopped waits on
}

// lineSend is what SendLine does.
type lineSend struct {
	*Activities
	protocol.SendLineInput

	until    time.Time // no turn is waited for any longer
	underWay sync.WaitGroup
	starting chan struct{} // bounds how many are handed over at once

	mu       sync.Mutex
	progress protocol.LineProgress
}

// resume goes on where an earlier call was lost: what had failed by then is handed
// over, and who was handed over, which it did not live to tell, has left.
func (l *lineSend) resume(ctx context.Context) error {
	for place, made := range l.soFar().Made {
		l.underWay.Go(func() { l.moveFailed(ctx, place, made) })
	}
	if !l.Again {
		return nil
	}
	asking, all := errgroup.WithContext(ctx)
	asking.SetLimit(handOverSideBySide)
	for place, w := range l.Entries {
		if w.Message == nil || l.done(place) {
			continue
		}
		asking.Go(func() error {
			started, err := l.Starter.Started(all, l.Tenant, w.DeliveryID)
			if started {
				l.markMoved(place)
			}
			return err
		})
	}
	return asking.Wait()
}

// send takes turns for one waiter after another.
func (l *lineSend) send(ctx context.Context) error {
	took := time.Now().Add(lineDuration)
	taking, stop := context.WithDeadline(ctx, l.until)
	defer stop()
	go stopWith(taking, activity.GetWorkerStopChannel(ctx), stop)
	for place, w := range l.Entries {
		if w.DeliveryID == "" || l.done(place) {
			continue
		}
		if time.Now().After(took) || taking.Err() != nil {
			return nil
		}
		_, e, known, err := l.resolve(taking, l.Tenant, l.Endpoint)
		switch {
		case err != nil:
			return err
		case !known:
			l.failDeleted()
			return l.releaseAll(ctx)
		case e.State != postdate.Enabled:
			return nil
		}
		permit, err := l.acquire(taking, l.Tenant, e, throttle.PermitRequest{Dequeued: true, Since: w.At, MaxWait: time.Until(l.until)})
		switch {
		case taking.Err() != nil:
			if err == nil {
				permit.Release(postdate.Attempt{})
			}
			return nil
		case errors.Is(err, throttle.ErrNoPermit):
			return nil
		case err != nil:
			return fmt.Errorf("acquire a permit for %s: %w", w.DeliveryID, err)
		}
		// It may have been paused while the permit was waited for.
		if _, e, known, err = l.resolve(taking, l.Tenant, l.Endpoint); err != nil || !known || e.State != postdate.Enabled {
			permit.Release(postdate.Attempt{})
			return err
		}
		if err := l.use(ctx, place, permit, e); err != nil {
			return err
		}
	}
	return nil
}

// stopWith stops taking when the worker stops: what was not taken is the next one's.
func stopWith(taking context.Context, stopping <-chan struct{}, stop context.CancelFunc) {
	select {
	case <-stopping:
		stop()
	case <-taking.Done():
	}
}

// use uses a permit for the entry at place.
func (l *lineSend) use(ctx context.Context, place int, permit throttle.Permit, e postdate.Endpoint) error {
	if l.Entries[place].Message != nil {
		l.begin(place)
		l.underWay.Go(func() { l.attempt(ctx, place, permit, e) })
		return nil
	}
	// Until it is there itself, its permit is not another's: so no more are told than
	// find one.
	l.underWay.Go(func() {
		time.Sleep(permitHold)
		permit.Release(postdate.Attempt{})
	})
	return l.release(ctx, place)
}

// attempt sends the message of the waiter at place.
func (l *lineSend) attempt(ctx context.Context, place int, permit throttle.Permit, e postdate.Endpoint) {
	w := l.Entries[place]
	made, err := l.attemptWithPermit(ctx, permit, protocol.DeliveryTask{
		DeliveryID: w.DeliveryID, Message: *w.Message, To: postdate.Destination{Endpoint: l.Endpoint}, DueAt: w.At,
	}, e)
	if err != nil {
		l.end(place)
		return // for a reason of our own: it waits on
	}
	made = made.Excerpt(min(postdate.MaxResponse, maxGroupResponses/len(l.Entries)))
	l.note(place, made)
	l.moveFailed(ctx, place, made)
}

// moveFailed hands the waiter at place over, if its attempt failed. The line does so when
// the call is over to whom it was not done here: it knows who was cancelled meanwhile.
func (l *lineSend) moveFailed(ctx context.Context, place int, made postdate.Attempt) {
	if !protocol.Attempted(made.Outcome) || made.Outcome == postdate.Accepted {
		return
	}
	l.starting <- struct{}{}
	defer func() { <-l.starting }()
	if ctx.Err() != nil {
		return
	}
	w := l.Entries[place]
	err := l.handOver(ctx, protocol.HandOverInput{Messages: []postdate.Message{*w.Message}, At: w.At},
		protocol.Undelivered{GroupItem: protocol.GroupItem{Endpoint: l.Endpoint, Terms: w.Terms}, Attempts: postdate.Attempts{}.Append(made)})
	if err != nil {
		l.Log.LogAttrs(ctx, slog.LevelWarn, "hand over what failed in line", slog.String("tenant", l.Tenant),
			slog.String("id", w.DeliveryID), slog.String("error", err.Error()))
		return
	}
	l.markMoved(place)
}

// report has a delivery with an execution of its own make its attempt. One that is
// over needs no turn.
func (l *lineSend) release(ctx context.Context, place int) error {
	err := l.Deliveries.ReleaseDelivery(ctx, l.Tenant, l.Entries[place].DeliveryID)
	if err != nil && postdate.CodeOf(err) != postdate.NotFound {
		return err
	}
	l.markMoved(place)
	return nil
}

// failDeleted says of all that travel here that their endpoint was deleted, and
// tellAll has the others find out themselves.
func (l *lineSend) failDeleted() {
	for place, w := range l.Entries {
		if w.Message != nil && !l.done(place) {
			l.note(place, postdate.Attempt{At: l.Now(), Outcome: protocol.EndpointDeleted})
		}
	}
}

func (l *lineSend) releaseAll(ctx context.Context) error {
	for place, w := range l.Entries {
		if w.Message == nil && w.DeliveryID != "" && !l.done(place) {
			if err := l.release(ctx, place); err != nil {
				return err
			}
		}
	}
	return nil
}
