package deliveries

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/postdate/postdate/internal/executions"
)

// answerTimeout is how long a request waits for the end of an attempt that is under way.
const answerTimeout = 5 * time.Second

// RequestUpdate is [Store.Update] for callers who do not wait for long: where an attempt is
// under way it returns after five seconds, and reports whether the Update is done. If it is
// not, it goes on without the caller: what comes first, that or the end of the delivery, is
// read from the delivery.
func (s *Store) RequestUpdate(ctx context.Context, tenant, id, name string, args ...any) (done bool, err error) {
	return s.request(ctx, tenant, id, func(ctx context.Context) error { return s.Update(ctx, tenant, id, name, args...) })
}

// RequestCancel is [Store.CancelDelivery] for callers who do not wait for long, as
// [Store.RequestUpdate] is for Updates.
func (s *Store) RequestCancel(ctx context.Context, tenant, id string) (done bool, err error) {
	return s.request(ctx, tenant, id, func(ctx context.Context) error { return s.CancelDelivery(ctx, tenant, id) })
}

func (s *Store) request(ctx context.Context, tenant, id string, do func(context.Context) error) (done bool, err error) {
	result := make(chan error, 1)
	go func() {
		// A panic here would end the process, where one in a handler is an answer of 500.
		defer func() {
			if p := recover(); p != nil {
				result <- fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		result <- do(context.WithoutCancel(ctx))
	}()
	for {
		select {
		case err := <-result:
			return err == nil, err
		case <-ctx.Done():
			return false, executions.ErrTooLate
		case <-time.After(answerTimeout):
			if found, err := s.read(ctx, tenant, id); err == nil && found.attempting(s.now()) {
				return false, nil
			}
		}
	}
}
