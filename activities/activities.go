// Package activities is what workflows ask the world to do: make an attempt,
// keep making it, remember what was made.
package activities

import (
	"context"
	"log/slog"
	"time"

	"github.com/postdate/postdate"
)

// The activities, as workflows name them: by name, so that a history can be
// replayed where no activities are.
const (
	SendName      = "Send"
	RetryName     = "Retry"
	RecallName    = "Recall"
	SendGroupName = "SendGroup"
	HandOverName  = "HandOver"
	AnnounceName  = "Announce"
	SweepName     = "SweepDeliveries"
	QueueName     = "Queue"
	SendLineName  = "SendLine"
	JoinLineName  = "JoinLine"
	LeaveLineName = "LeaveLine"
	SupersedeName = "Supersede"
	SettingsName  = "EndpointSettings"
)

// Sender makes one attempt. What concerns the receiver is told by the attempt;
// the error says that none could be made, for a reason of our own.
type Sender interface {
	Send(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error)
}

// Directory knows where messages go, and hears what became of them there.
type Directory interface {
	// Tenant is all that is configured for a tenant, as it was at most a second
	// ago. It must not be changed. Of one that nothing was ever configured for it
	// is empty but for the secret that signs its messages to bare urls.
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
	// Fresh is the same as it is now: for what must not be decided by what was a
	// second ago.
	Fresh(ctx context.Context, name string) (*postdate.Tenant, error)
	// Report tells what an attempt at an endpoint came to. Most reports change
	// nothing and cost nothing.
	Report(ctx context.Context, tenant, endpoint string, made postdate.Attempt)
}

// Engine knows deliveries, and starts them.
type Engine interface {
	// PendingAttempts is the log that the pending activity of a workflow keeps
	// in its heartbeats. It is empty where nothing is pending.
	PendingAttempts(ctx context.Context, workflowID, runID string) (postdate.Attempts, error)
	// StartDelivery starts a delivery of its own for what a group hands over. It
	// is no error that it was started before.
	StartDelivery(ctx context.Context, h Handover) error
	// Started tells whether a delivery has had an execution of its own.
	Started(ctx context.Context, tenant, id string) (bool, error)
	// Publish publishes a named event to its subscribers, once however often it
	// is asked for, and answers how many they are.
	Publish(ctx context.Context, tenant string, e postdate.Event, traceParent string) (subscribers int, err error)
	// Find lists the ids of the deliveries that filter means, oldest first.
	Find(ctx context.Context, filter postdate.Filter) ([]string, error)
	// RetryDelivery, CancelDelivery and ReleaseDelivery do what they say to one
	// delivery. A [postdate.Conflict] or [postdate.NotFound] says that it cannot
	// be done to it any more.
	RetryDelivery(ctx context.Context, tenant, id string) error
	CancelDelivery(ctx context.Context, tenant, id string) error
	ReleaseDelivery(ctx context.Context, tenant, id string) error
	Lines
}

// Lines are where deliveries wait for their turns at endpoints.
type Lines interface {
	// Queue has deliveries wait in line, in their order, and answers the line of each.
	Queue(ctx context.Context, all []Queued) (lines []string, err error)
	// SupersedeDelivery tells a waiting delivery that a newer message has taken
	// its place.
	SupersedeDelivery(ctx context.Context, tenant, id string) error
	// JoinLine and LeaveLine tell an endpoint of a line.
	JoinLine(ctx context.Context, line LineUp) error
	LeaveLine(ctx context.Context, line LineUp) error
}

// Handover is a delivery that leaves its group, with the attempt that was made.
type Handover struct {
	Shipment Shipment          `json:"shipment"`
	Retry    postdate.Retry    `json:"retry"` // with its defaults
	Attempts postdate.Attempts `json:"attempts,omitempty"`
	// At is when its event was accepted.
	At time.Time `json:"at"`
}

// Activities holds what the activities need. Its methods are the activities.
type Activities struct {
	Sender    Sender
	Directory Directory
	Engine    Engine
	// Pacer gives turns at endpoints. Nil: everybody has one at once.
	Pacer Pacer
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own.
	MaxInFlight int
	Log         *slog.Logger
	// Now is the clock by which attempts expire.
	Now func() time.Time
}
