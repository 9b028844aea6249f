// Package sendertest is the suite that every sender must pass, run against a
// real receiver of its kind.
package sendertest

import (
	"context"
	"testing"
	"time"

	"github.com/postdate/postdate"
)

// Backlog is how many arrivals a harness must be able to hold unread.
const Backlog = 64

// patience is how long the suite waits for what ought to happen at once.
const patience = 20 * time.Second

// Sender is what every sender is.
type Sender interface {
	Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error)
}

// Harness is a sender, and receivers for it to send to.
type Harness struct {
	Sender Sender
	// Up accepts whatever is sent there and passes it to Arrived.
	Up postdate.Target
	// Down is where nobody receives anything.
	Down postdate.Target
	// Stuck takes a message and does not answer before the test is over.
	Stuck postdate.Target
	// Arrived is what came to Up. It holds [Backlog] unread.
	Arrived <-chan Arrival
}

// Arrival is a message as its receiver sees it.
type Arrival struct {
	ID, Type string
	// Data is the message's data, byte for byte as it arrived.
	Data []byte
}

// Run runs the suite. Each of its tests opens a harness for itself, and runs
// beside the others.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"delivers a message unchanged":                        deliversUnchanged,
		"sends the same id on every attempt":                  keepsTheID,
		"says when an attempt was made and how long it took":  stampsAttempts,
		"reports a receiver that is down as a failed attempt": reportsDown,
		"stops at the deadline":                               stopsAtTheDeadline,
		"reports a cancelled context as an error":             reportsCancellation,
		"sends side by side":                                  sendsSideBySide,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}
