package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// Result is what the API answered to a line.
type Result struct {
	Line   int     `json:"line"`
	Status int     `json:"status"`
	ID     string  `json:"id,omitempty"`
	Code   string  `json:"code,omitempty"`
	Detail string  `json:"detail,omitempty"`
	Errors []Fault `json:"errors,omitempty"`
}

// Fault is what is wrong with one field.
type Fault struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// again reports whether the same line may be taken later.
func (r Result) again() bool {
	return r.Status == http.StatusTooManyRequests || r.Status >= http.StatusInternalServerError
}

// Config is what an import is sent with.
type Config struct {
	// URL is the API's, and Key what it is shown. Tenant is whom it is for, with the
	// operator's key: empty for the default.
	URL, Key, Tenant string
	// Name is the import's. With it the same file can be sent again.
	Name string
	// DryRun has lines checked and nothing made.
	DryRun bool
	// GiveUp is how long it is tried again where nothing is answered any more.
	GiveUp time.Duration
	// Answered takes what became of each line. It is called by several goroutines.
	Answered func(Line, Result) error
	// Broke takes why a connection broke, and when it is tried again.
	Broke func(err error, wait time.Duration)
	// Client is the default one where it is nil. It must have no timeout.
	Client *http.Client
}

const (
	firstWait, lastWait = 250 * time.Millisecond, 15 * time.Second
	// silence is how long the API may leave lines without an answer.
	silence = 2 * time.Minute
	// What was not answered yet is kept, to be sent again: so many lines, and so many bytes.
	maxPendingLines, maxPendingBytes = 10_000, 64 << 20
)

// refusedError says why the API takes no import at all, so that trying again is of no use.
type refusedError struct{ error }

// callerError is an error of who takes the results.
type callerError struct{ error }

// Run sends a source to its end. It returns once each of its lines is answered, or why that
// cannot be: then the same import can be sent again from its beginning.
func Run(ctx context.Context, c Config, source Source) error {
	if c.Client == nil {
		c.Client = &http.Client{}
	}
	feed := newFeed(ctx, source)
	defer feed.close()
	pending := newPending()
	wait, since := firstWait, time.Now()
	for {
		if pending.empty() { // there is no connection while there is nothing to send
			if _, err := feed.peek(ctx); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
		s := &session{Config: c, feed: feed, pending: pending}
		err := s.run(ctx)
		if s.answered > 0 {
			wait, since = firstWait, time.Now()
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case isFinal(err):
			return err
		case pending.empty() && (err == nil || s.answered > 0):
			continue
		case err == nil:
			err = errors.New("the API does not take all lines for now")
		}
		if time.Since(since) > c.GiveUp {
			return fmt.Errorf("nothing was answered for %s: %w", c.GiveUp, err)
		}
		pause := max(s.retryAfter, wait/2+rand.N(wait/2))
		if c.Broke != nil {
			c.Broke(err, pause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		wait = min(2*wait, lastWait)
	}
}

// isFinal reports whether it is of no use to try again.
func isFinal(err error) bool {
	_, refused := errors.AsType[refusedError](err)
	_, ofCaller := errors.AsType[callerError](err)
	return refused || ofCaller
}
