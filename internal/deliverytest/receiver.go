package deliverytest

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/postdate/postdate"
)

// Receiver is how an endpoint answers.
type Receiver func(context.Context, postdate.Message) postdate.Attempt

// Attempt is one that was answered with this status.
func Attempt(status int) postdate.Attempt {
	outcome := postdate.Failed
	if status < http.StatusMultipleChoices {
		outcome = postdate.Accepted
	}
	return postdate.Attempt{Outcome: outcome, Status: status}
}

// Answering answers with these statuses, one after another, and then always with the
// last of them.
func Answering(statuses ...int) Receiver {
	var mu sync.Mutex
	return func(context.Context, postdate.Message) postdate.Attempt {
		mu.Lock()
		defer mu.Unlock()
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		return Attempt(status)
	}
}

// Mendable is a receiver that fails until it is mended.
func Mendable() (answer Receiver, mend func()) {
	var mended atomic.Bool
	return func(context.Context, postdate.Message) postdate.Attempt {
		if mended.Load() {
			return Attempt(http.StatusOK)
		}
		return Attempt(http.StatusBadGateway)
	}, func() { mended.Store(true) }
}

// Held is a receiver that answers with this status once finish is closed.
func Held(status int) (answer Receiver, begun, finish chan struct{}) {
	begun, finish = make(chan struct{}), make(chan struct{})
	return func(context.Context, postdate.Message) postdate.Attempt {
		begun <- struct{}{}
		<-finish
		return Attempt(status)
	}, begun, finish
}

// FailingFor answers what is about an entity as another receiver does, and accepts the
// rest.
func FailingFor(entity string, answer Receiver) Receiver {
	return func(ctx context.Context, m postdate.Message) postdate.Attempt {
		if m.Entity == entity {
			return answer(ctx, m)
		}
		return Attempt(http.StatusOK)
	}
}

// Stopping is a receiver that accepts, and asks that no further tick be sent.
func Stopping() Receiver {
	return func(context.Context, postdate.Message) postdate.Attempt {
		attempt := Attempt(http.StatusOK)
		attempt.StopRecurrence = true
		return attempt
	}
}
