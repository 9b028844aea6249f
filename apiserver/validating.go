package apiserver

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/postdate/postdate"
)

const (
	// validatingBytes bounds the bodies that are validated at once: each takes many times
	// its size while it is.
	validatingBytes = 4 << 20
	// validatingTimeout bounds the wait for others to be.
	validatingTimeout = 2 * time.Second
)

// validating bounds the bodies that are validated at once, by their bytes.
type validating struct {
	bytes   *semaphore.Weighted
	timeout time.Duration
}

func newValidating() *validating {
	return &validating{bytes: semaphore.NewWeighted(validatingBytes), timeout: validatingTimeout}
}

// roomKey is the key of the Echo context for the room that a request's body takes.
const roomKey = "postdate.room"

// room is what one body takes.
type room struct {
	*validating
	taken int64
}

func (v *validating) enter() *room { return &room{validating: v} }

// take waits until there is room for so many bytes.
func (r *room) take(ctx context.Context, bytes int) error {
	ctx, stop := context.WithTimeout(ctx, r.timeout)
	defer stop()
	if err := r.bytes.Acquire(ctx, int64(bytes)); err != nil {
		return &postdate.Error{
			Code: postdate.Unavailable, Detail: "too many requests are validated just now: try again", RetryAfter: time.Second,
		}
	}
	r.taken += int64(bytes)
	return nil
}

func (r *room) leave() { r.bytes.Release(r.taken) }

// takeRoom waits until there is room for a body of c's request of so many bytes.
func takeRoom(c echo.Context, bytes int) error {
	r, ok := c.Get(roomKey).(*room)
	if !ok {
		return nil
	}
	return r.take(c.Request().Context(), bytes)
}
