package pacer

import "time"

// waiter is a request that waits in place.
type waiter struct {
	since    time.Time
	n        int // attempts, which begin together
	dequeued bool
	index    int // in the heap: -1 once it is resolved

	done   chan struct{} // closed when it is resolved; nil where it never waited
	permit *permit       // nil: none comes soon
	err    error
}

// waiters is a heap: the oldest delivery is first.
type waiters []*waiter //nolint:recvcheck // as container/heap wants it

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].since.Before(w[j].since) }

func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push implements [heap.Interface].
func (w *waiters) Push(x any) {
	added := x.(*waiter) //nolint:forcetypeassert // nothing else is pushed
	added.index = len(*w)
	*w = append(*w, added)
}

// Pop implements [heap.Interface].
func (w *waiters) Pop() any {
	last := len(*w) - 1
	removed := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	removed.index = -1
	return removed
}
