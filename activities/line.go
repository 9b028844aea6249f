package activities

import (
	"context"
	"time"

	"github.com/postdate/postdate"
)

// Pacer gives turns at endpoints. It keeps to what the endpoint may be sent, over
// all workers.
type Pacer interface {
	// Take waits for a turn at e, as long as the claim is patient. It answers nil
	// where none comes so soon: then the delivery waits in line. The error says
	// that nothing could be found out, for a reason of our own.
	Take(ctx context.Context, tenant string, e postdate.Endpoint, c Claim) (Turn, error)
}

// Claim is a delivery's to a turn.
type Claim struct {
	// Called: it has waited in line, and was called. Others do not pass those in
	// line.
	Called bool
	// Since is when it was accepted. Of those who wait in place the oldest is first.
	Since time.Time
	// Patience is how long it waits in place. 0: the pacer's own.
	Patience time.Duration
	// Turns is how many attempts it is for, that begin together. 0 stands for one.
	Turns int
}

// Turn is an attempt's, from before it begins until it is done, or that of several
// that were claimed together.
type Turn interface {
	// Done ends it for one attempt, and tells what that came to: an outcome that was
	// not made says that none was.
	Done(made postdate.Attempt)
}

// take asks for a turn: nil where none comes soon.
func (a *Activities) take(ctx context.Context, tenant string, e postdate.Endpoint, c Claim) (Turn, error) {
	if a.Pacer == nil {
		return always{}, nil
	}
	return a.Pacer.Take(ctx, tenant, e, c)
}

// always is the turn of whoever needs none.
type always struct{}

func (always) Done(postdate.Attempt) {}

// Waiter is a delivery that waits in line.
type Waiter struct {
	DeliveryID string `json:"delivery_id"`
	// Message travels in the line, where the delivery has no execution of its own.
	// Nil: it has one, which is told when its turn has come.
	Message *postdate.Message `json:"message,omitempty"`
	// At is when it was accepted.
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Key names its entity and type: of an endpoint that coalesces only the newest
	// of a key is sent. Empty where it has no entity.
	Key string `json:"key,omitempty"`
}

// Queued is a waiter and the endpoint that it waits for.
type Queued struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	Waiter   Waiter `json:"waiter"`
	// Line is the one it has waited in so far, if it asks again: where that is
	// still there, it stays in it.
	Line string `json:"line,omitempty"`
}

// LineUp is a line as its endpoint knows it.
type LineUp struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	ID       string `json:"id"` // see workflows.LineID
	// Waiting is how many are left in it, and Since when the first of them was accepted.
	Waiting int       `json:"waiting"`
	Since   time.Time `json:"since"`
	// ExpiresAt is the earliest of theirs: zero where none expires.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Keys are the waiters', by place, where the endpoint coalesces.
	Keys []string `json:"keys,omitempty"`
}

// LineShipments are the deliveries of a line whose turns have come.
type LineShipments struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	// Waiters are all those of the line; of those that are over, the place alone.
	Waiters []Waiter `json:"waiters"`
	// Again: a call before this one was lost with its worker. What it did is to be
	// found out.
	Again bool `json:"again,omitempty"`
}

// LineProgress is how far a line is: the result of SendLine, and its heartbeats.
type LineProgress struct {
	// Made are the attempts, by the place of their waiter. What failed is among
	// them until it has an execution of its own.
	Made map[int]postdate.Attempt `json:"made,omitempty"`
	// Told are the places of those that have executions of their own: they were
	// told that their turn has come, or handed over when their attempt had failed.
	Told []int `json:"told,omitempty"`
	// Sending are the places of those whose attempts are under way.
	Sending []int `json:"sending,omitempty"`
}

// JoinLine tells an endpoint that a line waits for its call. It is no harm to tell it again.
func (a *Activities) JoinLine(ctx context.Context, line LineUp) error {
	return a.Engine.JoinLine(ctx, line)
}

// LeaveLine tells an endpoint that what it called of a line is done: with as many
// as still wait in it, which is first in line then.
func (a *Activities) LeaveLine(ctx context.Context, line LineUp) error {
	return a.Engine.LeaveLine(ctx, line)
}
