package executions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
)

// failureAge is how long a failed start says that Temporal cannot write: where no other
// start follows, the next one is the only way to find out.
const failureAge = 10 * time.Second

// starts remember whether Temporal can write, as the last start found.
type starts struct {
	mu     sync.Mutex
	failed time.Time // when the last start failed: zero where it did not
}

// add adds the result of a start.
func (s *starts) add(err error) {
	_, exists := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err)
	_, invalid := errors.AsType[*serviceerror.InvalidArgument](err)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil || exists:
		s.failed = time.Time{}
	case !invalid:
		s.failed = time.Now()
	}
}

// Ready returns why nothing can be accepted, or read, at the moment: Temporal's databases
// do not answer, or its last start failed, for example since its disk is full.
func (c *Client) Ready(ctx context.Context) error {
	// No cache knows what never existed.
	id := "ready/" + uuid.NewString()
	if _, err := c.Describe(ctx, id, id); postdate.CodeOf(err) != postdate.NotFound {
		return fmt.Errorf("read from Temporal: %w", err)
	}
	if _, err := c.CountOpen(ctx, "WorkflowId = "+Quote(id)); err != nil {
		return fmt.Errorf("list from Temporal: %w", err)
	}
	c.starts.mu.Lock()
	failed := c.starts.failed
	c.starts.mu.Unlock()
	if time.Since(failed) < failureAge {
		return postdate.Errorf(postdate.Unavailable, "", "Temporal could not start what came last, %s ago", time.Since(failed).Round(time.Second))
	}
	return nil
}
