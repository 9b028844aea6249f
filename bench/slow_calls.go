package main

import (
	"cmp"
	"slices"
	"time"
)

// calls are what a receiver saw.
type calls []call

// between are those that were under way at some time from one moment to another.
func (c calls) between(from, to time.Time) calls {
	var some calls
	for _, one := range c {
		if one.end.After(from) && one.begin.Before(to) {
			some = append(some, one)
		}
	}
	return some
}

// most is how many were under way at once.
func (c calls) most() int {
	type edge struct {
		at   time.Time
		step int
	}
	edges := make([]edge, 0, 2*len(c))
	for _, one := range c {
		edges = append(edges, edge{one.begin, 1}, edge{one.end, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.step, b.step)) })
	now, most := 0, 0
	for _, e := range edges {
		now += e.step
		most = max(most, now)
	}
	return most
}

// work is how many were made from one moment to another. Of one that began
// before or ended after only its part counts, or a receiver that is busy with
// ten at a time could not be measured finer than to ten.
func (c calls) work(from, to time.Time) float64 {
	sum := 0.0
	for _, one := range c.between(from, to) {
		begin, end := one.begin, one.end
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		sum += float64(end.Sub(begin)) / float64(max(one.end.Sub(one.begin), 1))
	}
	return sum
}

// begun is how many began from one moment until another.
func (c calls) begun(from, to time.Time) int {
	n := 0
	for _, one := range c {
		if !one.begin.Before(from) && one.begin.Before(to) {
			n++
		}
	}
	return n
}

// nextAccepted is when the first began, from a moment on, that was accepted.
// Zero: none did.
func (c calls) nextAccepted(from time.Time) time.Time {
	var first time.Time
	for _, one := range c {
		if one.accepted && !one.begin.Before(from) && (first.IsZero() || one.begin.Before(first)) {
			first = one.begin
		}
	}
	return first
}

// windows are the most and the fewest that began in any time of that width,
// from one moment to another.
func (c calls) windows(width time.Duration, from, to time.Time) (most, fewest int) {
	var begins []time.Time
	for _, one := range c {
		if !one.begin.Before(from) && one.begin.Before(to) {
			begins = append(begins, one.begin)
		}
	}
	slices.SortFunc(begins, time.Time.Compare)
	// The fullest window begins at some call. The emptiest begins just after one,
	// or with the time itself.
	fewest = in(begins, from, from.Add(width))
	for _, begin := range begins {
		most = max(most, in(begins, begin, begin.Add(width)))
		if after := begin.Add(1); !after.Add(width).After(to) {
			fewest = min(fewest, in(begins, after, after.Add(width)))
		}
	}
	return most, fewest
}

// in is how many of sorted lie from one moment until another.
func in(sorted []time.Time, from, to time.Time) int {
	first, _ := slices.BinarySearchFunc(sorted, from, time.Time.Compare)
	last, _ := slices.BinarySearchFunc(sorted, to, time.Time.Compare)
	return last - first
}
