package pacer

import "time"

// waiter is a claim that waits in place.
type waiter struct {
	since    time.Time
	n        int // how many it wants, at once
	dequeued bool
	place    int // in the heap: -1 once it is answered

	done   chan struct{} // closed when it is answered; nil of one that never waited
	permit *permit       // nil: none comes so soon
	err    error
}

// waiters are a heap: the oldest is first.
type waiters []*waiter //nolint:recvcheck // as the heap wants it

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].since.Before(w[j].since) }

func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push implements [heap.Interface].
func (w *waiters) Push(x any) {
	one := x.(*waiter) //nolint:forcetypeassert // nothing else is pushed
	one.place = len(*w)
	*w = append(*w, one)
}

// Pop implements [heap.Interface].
func (w *waiters) Pop() any {
	last := len(*w) - 1
	one := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	one.place = -1
	return one
}
