package deliverytest

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// Permits are an endpoint's, as its test gives them.
type Permits struct {
	// Dequeued has one for each delivery that was dequeued.
	Dequeued chan struct{}
	// Open: every other attempt has one too.
	Open atomic.Bool
}

// Limit gives permits for an endpoint, or a bare url, only as the test says. What goes to a
// url and gets none is to ask again in an hour.
func (t *Tenant) Limit(endpoint string) *Permits {
	given := &Permits{Dequeued: make(chan struct{}, 100)}
	outside.mu.Lock()
	defer outside.mu.Unlock()
	outside.permits[endpoint] = given
	t.T.Cleanup(func() { close(given.Dequeued) })
	return given
}

// Acquire acquires a permit for an attempt.
func (f *fakes) Acquire(ctx context.Context, _ string, e postdate.Endpoint, request throttle.PermitRequest) (throttle.Permit, error) {
	f.mu.Lock()
	given := f.permits[cmp.Or(e.ID, e.URL)]
	f.mu.Unlock()
	switch {
	case given == nil || !request.Dequeued && given.Open.Load():
		return throttle.Unlimited, nil
	case e.ID == "":
		return nil, &throttle.NoPermitError{RetryAfter: time.Hour, Reason: "100 attempts are under way at this receiver already"}
	case !request.Dequeued:
		return nil, throttle.ErrNoPermit
	}
	select {
	case <-given.Dequeued:
		return throttle.Unlimited, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
