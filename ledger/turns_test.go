package ledger_test

import (
	"context"
	"sync/atomic"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
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

func (f *fakes) Take(ctx context.Context, _ string, e postdate.Endpoint, c activities.Claim) (activities.Turn, error) {
	f.mu.Lock()
	given := f.turns[e.ID]
	f.mu.Unlock()
	switch {
	case given == nil || !c.Called && given.open.Load():
		return turn{}, nil
	case !c.Called:
		return nil, nil //nolint:nilnil // no turn
	}
	select {
	case <-given.called:
		return turn{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type turn struct{}

func (turn) Done(postdate.Attempt) {}
