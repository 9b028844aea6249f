package activities

import (
	"maps"
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// begin and end record whose attempts are under way.
func (l *lineSend) begin(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Sending = append(l.progress.Sending, place)
}

func (l *lineSend) end(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Sending = slices.DeleteFunc(l.progress.Sending, func(sending int) bool { return sending == place })
}

// record records an attempt.
func (l *lineSend) record(place int, attempt postdate.Attempt) {
	l.end(place)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Made[place] = attempt
}

// markMoved records that the entry at place has an execution of its own.
func (l *lineSend) markMoved(place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.progress.Made, place)
	l.progress.Moved = append(l.progress.Moved, place)
}

// done reports whether nothing remains to be done for the entry at place.
func (l *lineSend) done(place int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, made := l.progress.Made[place]
	return made || slices.Contains(l.progress.Moved, place)
}

// begun are the places of the entries that are done, or under way.
func (l *lineSend) begun() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	begun := slices.Concat(l.progress.Sending, l.progress.Moved, slices.Collect(maps.Keys(l.progress.Made)))
	slices.Sort(begun)
	return begun
}

// size is how many entries are done.
func (l *lineSend) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.progress.Made) + len(l.progress.Moved)
}

// soFar is a copy of the progress, since heartbeats are encoded on another goroutine.
func (l *lineSend) soFar() protocol.LineProgress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return protocol.LineProgress{
		Made: maps.Clone(l.progress.Made), Moved: slices.Clone(l.progress.Moved), Sending: slices.Clone(l.progress.Sending),
		NoCanary: l.progress.NoCanary,
	}
}
