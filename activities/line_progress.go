package activities

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate"
)

// begin and end note whose attempt is under way.
func (l *callOfLine) begin(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Sending = append(l.progress.Sending, place)
}

func (l *callOfLine) end(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Sending = slices.DeleteFunc(l.progress.Sending, func(under int) bool { return under == place })
}

func (l *callOfLine) note(place int, made postdate.Attempt) {
	l.end(place)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Made[place] = made
}

// hasLeft notes that the waiter at place has an execution of its own.
func (l *callOfLine) hasLeft(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.progress.Made, place)
	l.progress.Told = append(l.progress.Told, place)
}

func (l *callOfLine) done(place int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, made := l.progress.Made[place]
	return made || slices.Contains(l.progress.Told, place)
}

func (l *callOfLine) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.progress.Made) + len(l.progress.Told)
}

// soFar is a copy: what is told is encoded elsewhere.
func (l *callOfLine) soFar() LineProgress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LineProgress{
		Made: maps.Clone(l.progress.Made), Told: slices.Clone(l.progress.Told), Sending: slices.Clone(l.progress.Sending),
	}
}

// beat tells how far the line is, until beating ends.
func (l *callOfLine) beat(beating, ctx context.Context) {
	ticks := time.NewTicker(lineBeat)
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
