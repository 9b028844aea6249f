package receiver

import (
	"context"
	"fmt"
	"time"
)

// DefaultKeep is how long Prune keeps marks unless it is called with another
// duration: 30 days. A mark must be there for as long as a copy of its message
// may come. By Postdate's defaults that is 25.2 days:
//
//	9.1 days   one round of retries: nine waits of 5 s to 24 h, the last with
//	           10 % of jitter, the others stretched to 24 h by Retry-After
//	7.0 days   a dead letter can be retried for so long (POSTDATE_RETENTION)
//	9.1 days   the round of retries that follows
//
// Keep marks for longer where POSTDATE_RETENTION or a retry of yours is longer,
// where dead letters are retried more than once, and where an endpoint may be
// paused or disabled for weeks: its deliveries are parked until it is back.
const DefaultKeep = 30 * 24 * time.Hour

// Mark is what a [Store] answers about a message that is handled.
type Mark struct {
	// Duplicate reports whether the message had been handled before this call,
	// so that its work was not called.
	Duplicate bool
	// RescheduleTo is when the message is needed again, as its work returned it.
	RescheduleTo time.Time
}

// Store keeps which messages one consumer has handled. Tx is the transaction in
// which it marks a message, and in which the work on the message happens.
// [SQLStore] and [MemoryStore] are stores; another one gives a function the
// transaction of another driver or of an ORM.
type Store[Tx any] interface {
	// Once begins a transaction, marks the message in it, calls work with it and
	// commits it. If work returns an error or panics, everything is rolled back.
	//
	// If the message has a mark already, work is not called, unless the mark says
	// that the message is needed again at a time not after sentAt.
	//
	// While another transaction holds the message's mark, Once waits until that
	// ends or ctx does. It can return an error that wraps [ErrBusy] whenever
	// nothing was committed. Work must not be called after ctx is done.
	Once(ctx context.Context, id string, sentAt time.Time, work Work[Tx]) (Mark, error)
}

// Work is what a [Store] calls at most once for each call of Once. The time it
// returns is when the message is needed again, or zero.
type Work[Tx any] func(ctx context.Context, tx Tx) (rescheduleTo time.Time, err error)

// keepFrom is the moment before which marks are forgotten.
func keepFrom(olderThan time.Duration) (time.Time, error) {
	switch {
	case olderThan < 0:
		return time.Time{}, fmt.Errorf("prune marks older than %s: the duration must not be negative", olderThan)
	case olderThan == 0:
		olderThan = DefaultKeep
	}
	return time.Now().Add(-olderThan), nil
}
