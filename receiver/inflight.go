package receiver

import (
	"context"
	"sync"
)

// inFlight holds a lock for each message that this process is handling, so that
// copies of one message wait here and not each with a database connection: the
// function may need one of those connections to finish.
type inFlight struct {
	mu    sync.Mutex
	locks map[string]*lock
}

// lock is held by whoever has put the one value into held.
type lock struct {
	held  chan struct{}
	users int // who hold it or wait for it; guarded by inFlight.mu
}

// acquire waits until no other caller holds id, or ctx is done.
func (f *inFlight) acquire(ctx context.Context, id string) (release func(), err error) {
	f.mu.Lock()
	if f.locks == nil {
		f.locks = map[string]*lock{}
	}
	l := f.locks[id]
	if l == nil {
		l = &lock{held: make(chan struct{}, 1)}
		f.locks[id] = l
	}
	l.users++
	f.mu.Unlock()

	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; f.leave(id, l) }, nil
	case <-ctx.Done():
		f.leave(id, l)
		return nil, ctx.Err()
	}
}

func (f *inFlight) leave(id string, l *lock) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.users--
	if l.users == 0 {
		delete(f.locks, id)
	}
}
