package deliveries_test

import (
	"context"
	"sync/atomic"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// turns are an endpoint's, as its test gives them.
type turns struct {
	called chan struct{} // one for each of those in line
	open   atomic.Bool   // to whoever was not called
}

// scarce has nobody sent to endpoint but as the test says.
func (t *tenant) scarce(endpoint string) *turns {
	given := &turns{called: make(chan struct{}, 100)}
	world.mu.Lock()
	defer world.mu.Unlock()
	world.turns[endpoint] = given
	t.t.Cleanup(func() { close(given.called) })
	return given
}

func (f *fakeWorld) Acquire(ctx context.Context, _ string, e postdate.Endpoint, c throttle.PermitRequest) (throttle.Permit, error) {
	f.mu.Lock()
	given := f.turns[e.ID]
	f.mu.Unlock()
	switch {
	case given == nil || !c.Dequeued && given.open.Load():
		return throttle.Unlimited, nil
	case !c.Dequeued:
		return nil, throttle.ErrNoPermit
	}
	select {
	case <-given.called:
		return throttle.Unlimited, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
