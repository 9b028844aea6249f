package receivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// overlapping is how many copies arrive at the same time.
const overlapping = 20

var errWork = errors.New("receivertest: the work fails, as it is meant to")

func copies(tr *trial) {
	id := newID()
	tr.overlap(id, nil)
	tr.isHandledOnce(id, fmt.Sprintf("%d copies came at the same time", overlapping))
}

func failingCopies(tr *trial) {
	id := newID()
	tr.overlap(id, errWork)
	tr.isHandledOnce(id, fmt.Sprintf("%d copies came at the same time and the work of the first failed,", overlapping))
}

// overlap sends copies of message id at the same time. The work of the first is
// held up until another copy's work begins, or all other copies are answered, or
// they all wait; then it ends with outcome.
func (tr *trial) overlap(id string, outcome error) {
	second, answered := make(chan struct{}), make(chan struct{})
	tr.during(id, func(ctx context.Context, call int) error {
		switch call {
		case 1:
			select {
			case <-second:
			case <-answered:
			case <-time.After(tr.times.hold):
			case <-ctx.Done():
				return ctx.Err()
			}
			return outcome
		case 2:
			close(second)
		}
		return nil
	})
	var sending sync.WaitGroup
	var others, early atomic.Int64
	var final atomic.Value
	for range overlapping {
		sending.Go(func() {
			a := tr.send(tr.request(id))
			if _, succeeded := tr.calls(id); a.accepted() && succeeded == 0 {
				early.Add(1)
			}
			if reason := a.final(); reason != "" {
				final.Store(reason)
			}
			if others.Add(1) == overlapping-1 {
				close(answered)
			}
		})
	}
	sending.Wait()
	if n := early.Load(); n > 0 {
		tr.findf("While the work on a message was not done, %d of its %d copies were answered with success: "+
			"if that work fails, the message is lost. Have a copy wait, or answer it 503 with Retry-After.", n, overlapping)
	}
	if reason, ok := final.Load().(string); ok {
		tr.findf("While the work on a message was not done, a copy of it was answered %s. Answer 503 with Retry-After.", reason)
	}
}
