package report

import (
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Measured is what one scenario measured of one system in one round.
type Measured struct {
	Messages []*rig.Message
	// Since is the moment from which delivered/s counts: the first request, or the
	// instant at which all were due.
	Since time.Time
	// CPU is the system's time, from the first request until it was quiet again, not
	// counting what it idled through in between. Zero: the figure is left out.
	CPU        time.Duration
	PeakMemory int64 // in bytes
	// Transitions are Temporal's state transitions, of all executions that carried a
	// message. Zero: not asked for.
	Transitions float64
	// Statements are the database's, from the first request on. Zero: not counted.
	Statements int64
	// LongTasks is how many workflow tasks of endpoints took longer than 200 ms. Nil: not
	// counted.
	LongTasks *int

	// What only some scenarios measure; nil in the others.
	Pending      *Pending
	SlowReceiver *SlowReceiver
	NoisyTenant  *NoisyTenant
	Hanging      *Hanging
	Inbound      *Inbound
	Imported     *Imported
	Streams      *Streams
	OthersMS     *Quantiles // lateness of another tenant's
	Crashes      *Crashes
}

// span returns when the first request began, when the last was answered, and when
// the last message arrived: zero where none were due.
func (m *Measured) span() (first, accepted, received time.Time) {
	first = m.Messages[0].Sent
	for _, message := range m.Messages {
		if message.Sent.Before(first) {
			first = message.Sent
		}
		if message.Accepted.After(accepted) {
			accepted = message.Accepted
		}
	}
	return first, accepted, rig.LastReceived(m.Messages)
}
