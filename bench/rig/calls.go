package rig

import (
	"cmp"
	"slices"
	"time"
)

// Call is one request to a receiver: from its arrival until it was answered, or
// until the caller closed the connection.
type Call struct {
	Begin, End time.Time
	Accepted   bool
}

// Calls are those that a receiver got.
type Calls []Call

// Between returns those that were in flight at some time from one moment to another.
func (c Calls) Between(from, to time.Time) Calls {
	var found Calls
	for _, call := range c {
		if call.End.After(from) && call.Begin.Before(to) {
			found = append(found, call)
		}
	}
	return found
}

// MostInFlight returns how many were in flight at once, at most.
func (c Calls) MostInFlight() int {
	type edge struct {
		at   time.Time
		step int
	}
	edges := make([]edge, 0, 2*len(c))
	for _, call := range c {
		edges = append(edges, edge{call.Begin, 1}, edge{call.End, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.step, b.step)) })
	inFlight, most := 0, 0
	for _, e := range edges {
		inFlight += e.step
		most = max(most, inFlight)
	}
	return most
}

// Work returns how many were made from one moment to another. Of a call that began
// before or ended after only its part counts, or a receiver that is busy with ten at
// a time could not be measured finer than to ten.
func (c Calls) Work(from, to time.Time) float64 {
	sum := 0.0
	for _, call := range c.Between(from, to) {
		begin, end := call.Begin, call.End
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		sum += float64(end.Sub(begin)) / float64(max(call.End.Sub(call.Begin), 1))
	}
	return sum
}

// Begun returns how many began from one moment until another.
func (c Calls) Begun(from, to time.Time) int { return len(c.begins(from, to)) }

// begins are the times at which calls began, from one moment until another, unsorted.
func (c Calls) begins(from, to time.Time) []time.Time {
	var begins []time.Time
	for _, call := range c {
		if !call.Begin.Before(from) && call.Begin.Before(to) {
			begins = append(begins, call.Begin)
		}
	}
	return begins
}

// FirstAccepted returns when the first accepted call began, from a moment on. Zero:
// none did.
func (c Calls) FirstAccepted(from time.Time) time.Time {
	var first time.Time
	for _, call := range c {
		if call.Accepted && !call.Begin.Before(from) && (first.IsZero() || call.Begin.Before(first)) {
			first = call.Begin
		}
	}
	return first
}

// Windows returns the most and the fewest calls that began in any time of that
// width, from one moment to another.
func (c Calls) Windows(width time.Duration, from, to time.Time) (most, fewest int) {
	begins := c.begins(from, to)
	slices.SortFunc(begins, time.Time.Compare)
	// The fullest window begins at some call. The emptiest begins just after one,
	// or with the time itself.
	fewest = countIn(begins, from, from.Add(width))
	for _, begin := range begins {
		most = max(most, countIn(begins, begin, begin.Add(width)))
		if after := begin.Add(1); !after.Add(width).After(to) {
			fewest = min(fewest, countIn(begins, after, after.Add(width)))
		}
	}
	return most, fewest
}

// countIn returns how many of sorted lie from one moment until another.
func countIn(sorted []time.Time, from, to time.Time) int {
	first, _ := slices.BinarySearchFunc(sorted, from, time.Time.Compare)
	last, _ := slices.BinarySearchFunc(sorted, to, time.Time.Compare)
	return last - first
}
