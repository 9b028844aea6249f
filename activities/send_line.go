package activities

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
)

const (
	// lineTakes is how long turns are taken for a line.
	lineTakes = time.Minute
	// LinePatience is how long, from the same moment, a turn is waited for: at one a
	// minute it comes.
	LinePatience = 90 * time.Second
	// lineBeat is how often it is told how far a line is. What was not told is sent
	// again where the worker dies.
	lineBeat = time.Second
	// tellEvery is how long the turn of a delivery with an execution of its own is
	// kept for it: it takes about as long to come for one.
	tellEvery = 200 * time.Millisecond
)

// SendLine makes the first attempts at the waiters of a line, one after another
// as turns come, and tells those that have executions of their own. What fails goes
// on as a delivery of its own at once. It ends when all is done, when no turn comes
// for a while, or after a minute: what it does not mention still waits.
func (a *Activities) SendLine(ctx context.Context, in LineShipments) (LineProgress, error) {
	line := &callOfLine{
		Activities: a, LineShipments: in, until: time.Now().Add(LinePatience), starting: make(chan struct{}, handOverSideBySide),
	}
	line.Again = in.Again || activity.GetInfo(ctx).Attempt > 1
	if activity.HasHeartbeatDetails(ctx) {
		line.Again = true
		if err := activity.GetHeartbeatDetails(ctx, &line.progress); err != nil {
			return LineProgress{}, fmt.Errorf("read how far the line is: %w", err)
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
		return LineProgress{}, err
	}
	return line.soFar(), nil // what an error stopped waits on
}

// callOfLine is what SendLine does.
type callOfLine struct {
	*Activities
	LineShipments

	until    time.Time // no turn is waited for any longer
	underWay sync.WaitGroup
	starting chan struct{} // bounds how many are handed over at once

	mu       sync.Mutex
	progress LineProgress
}

// resume goes on where an earlier call was lost: what had failed by then is handed
// over, and who was handed over, which it did not live to tell, has left.
func (l *callOfLine) resume(ctx context.Context) error {
	for place, made := range l.soFar().Made {
		l.underWay.Go(func() { l.goOn(ctx, place, made) })
	}
	if !l.Again {
		return nil
	}
	asking, all := errgroup.WithContext(ctx)
	asking.SetLimit(handOverSideBySide)
	for place, w := range l.Waiters {
		if w.Message == nil || l.done(place) {
			continue
		}
		asking.Go(func() error {
			started, err := l.Engine.Started(all, l.Tenant, w.DeliveryID)
			if started {
				l.hasLeft(place)
			}
			return err
		})
	}
	return asking.Wait()
}

// send takes turns for one waiter after another.
func (l *callOfLine) send(ctx context.Context) error {
	took := time.Now().Add(lineTakes)
	taking, stop := context.WithDeadline(ctx, l.until)
	defer stop()
	go stopWith(taking, activity.GetWorkerStopChannel(ctx), stop)
	for place, w := range l.Waiters {
		if w.DeliveryID == "" || l.done(place) {
			continue
		}
		if time.Now().After(took) || taking.Err() != nil {
			return nil
		}
		_, e, known, err := l.whereTo(taking, l.Tenant, l.Endpoint)
		switch {
		case err != nil:
			return err
		case !known:
			l.farewell()
			return l.tellAll(ctx)
		case e.State != postdate.Enabled:
			return nil
		}
		turn, err := l.take(taking, l.Tenant, e, Claim{Called: true, Since: w.At, Patience: time.Until(l.until)})
		switch {
		case taking.Err() != nil:
			if turn != nil {
				turn.Done(postdate.Attempt{})
			}
			return nil
		case err != nil:
			return fmt.Errorf("ask whether it is the turn of %s: %w", w.DeliveryID, err)
		case turn == nil:
			return nil
		}
		// It may have been paused while its turn was waited for.
		if _, e, known, err = l.whereTo(taking, l.Tenant, l.Endpoint); err != nil || !known || e.State != postdate.Enabled {
			turn.Done(postdate.Attempt{})
			return err
		}
		if err := l.use(ctx, place, turn, e); err != nil {
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

// use uses a turn for the waiter at place.
func (l *callOfLine) use(ctx context.Context, place int, turn Turn, e postdate.Endpoint) error {
	if l.Waiters[place].Message != nil {
		l.begin(place)
		l.underWay.Go(func() { l.attempt(ctx, place, turn, e) })
		return nil
	}
	// Until it is there itself, its turn is not another's: so no more are told than
	// find one.
	l.underWay.Go(func() {
		time.Sleep(tellEvery)
		turn.Done(postdate.Attempt{})
	})
	return l.tell(ctx, place)
}

// attempt sends the message of the waiter at place.
func (l *callOfLine) attempt(ctx context.Context, place int, turn Turn, e postdate.Endpoint) {
	w := l.Waiters[place]
	made, err := l.attemptInTurn(ctx, turn, Shipment{
		DeliveryID: w.DeliveryID, Message: *w.Message, To: postdate.Destination{Endpoint: l.Endpoint}, DueAt: w.At,
	}, e)
	if err != nil {
		l.end(place)
		return // for a reason of our own: it waits on
	}
	made = made.Excerpt(min(postdate.MaxResponse, maxGroupResponses/len(l.Waiters)))
	l.note(place, made)
	l.goOn(ctx, place, made)
}

// goOn hands the waiter at place over, if its attempt failed. The line does so when
// the call is over to whom it was not done here: it knows who was cancelled meanwhile.
func (l *callOfLine) goOn(ctx context.Context, place int, made postdate.Attempt) {
	if !made.Outcome.Made() || made.Outcome == postdate.Accepted {
		return
	}
	l.starting <- struct{}{}
	defer func() { <-l.starting }()
	if ctx.Err() != nil {
		return
	}
	w := l.Waiters[place]
	err := l.handOver(ctx, HandOverInput{Messages: []postdate.Message{*w.Message}, At: w.At},
		LeftParcel{Parcel: Parcel{Endpoint: l.Endpoint}, Attempts: postdate.Attempts{}.With(made)})
	if err != nil {
		l.Log.LogAttrs(ctx, slog.LevelWarn, "hand over what failed in line", slog.String("tenant", l.Tenant),
			slog.String("id", w.DeliveryID), slog.String("error", err.Error()))
		return
	}
	l.hasLeft(place)
}

// tell has a delivery with an execution of its own make its attempt. One that is
// over needs no turn.
func (l *callOfLine) tell(ctx context.Context, place int) error {
	err := l.Engine.ReleaseDelivery(ctx, l.Tenant, l.Waiters[place].DeliveryID)
	if err != nil && postdate.CodeOf(err) != postdate.NotFound {
		return err
	}
	l.hasLeft(place)
	return nil
}

// farewell says of all that travel here that their endpoint was deleted, and
// tellAll has the others find out themselves.
func (l *callOfLine) farewell() {
	for place, w := range l.Waiters {
		if w.Message != nil && !l.done(place) {
			l.note(place, postdate.Attempt{At: l.Now(), Outcome: postdate.Deleted})
		}
	}
}

func (l *callOfLine) tellAll(ctx context.Context) error {
	for place, w := range l.Waiters {
		if w.Message == nil && w.DeliveryID != "" && !l.done(place) {
			if err := l.tell(ctx, place); err != nil {
				return err
			}
		}
	}
	return nil
}
