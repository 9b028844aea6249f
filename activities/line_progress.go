package activities

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// begin and end note whose attempt is under way.
func (l *lineSend) begin(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Sending = append(l.progress.Sending, place)
}

func (l *lineSend) end(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Sending = slices.DeleteFunc(l.progress.Sending, func(under int) bool { return under == place })
}

func (l *lineSend) note(place int, made postdate.Attempt) {
	l.end(place)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Made[place] = made
}

// markMoved notes that the waiter at place has an execution of its own.
func (l *lineSend) markMoved(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.progress.Made, place)
	l.progress.Moved = append(l.progress.Moved, place)
}

func (l *lineSend) done(place int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, made := l.progress.Made[place]
	return made || slices.Contains(l.progress.Moved, place)
}

func (l *lineSend) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.progress.Made) + len(l.progress.Moved)
}

// soFar is a copy: what is told is encoded elsewhere.
func (l *lineSend) soFar() protocol.LineProgress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return protocol.LineProgress{
		Made: maps.Clone(l.progress.Made), Moved: slices.Clone(l.progress.Moved), Sending: slices.Clone(l.progress.Sending),
	}
}

// beat tells how far the line is, until beating ends.
func (l *lineSend) beat(beating, ctx context.Context) {
	ticks := time.NewTicker(lineHeartbeat)
	defer ticks.Stop()
	for {
		select {
		case <-beating.Done():
			return
		case <-ticks.C:
			activity.RecordHeartbeat(ctx, l.soFar())
		}
	}
}
