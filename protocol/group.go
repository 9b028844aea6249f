package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

// GroupItem is one delivery in a group: an event to an endpoint.
type GroupItem struct {
	Event    int    `json:"event"` // the place of its message in the group
	Endpoint string `json:"endpoint"`
	Terms
	// Schedule is the rest of its task where it is a schedule. Nil: it is an event.
	Schedule *GroupedTask `json:"schedule,omitempty"`
}

// GroupedTask is what a schedule in a group has of a [DeliveryTask] that an event has not.
// Its attempt begins when it is due.
type GroupedTask struct {
	To      postdate.Destination `json:"to"`
	DueAt   time.Time            `json:"due_at"`
	Timeout postdate.Duration    `json:"timeout,omitempty"`
}

// GroupInput is a group of deliveries.
type GroupInput struct {
	Messages []postdate.Message `json:"messages"`
	Items    []GroupItem        `json:"parcels"`
	// At is when the events were accepted.
	At time.Time `json:"at"`
	// Of is how many parts the events were split into: 0 stands for one.
	Of int `json:"of,omitempty"`
	// Burst is when the first of the attempts is to begin, as in [DeliveryTask].
	Burst *BurstStart `json:"burst,omitempty"`
}

// GroupAttempt is the result of the attempt at an item.
type GroupAttempt struct {
	postdate.Attempt

	// Line is the line in which it waits, where its outcome is [NoPermit].
	Line string `json:"line,omitempty"`
}

// Task is the task of an item of a group with these messages, accepted at that time.
func (i GroupItem) Task(messages []postdate.Message, at time.Time) DeliveryTask {
	m := messages[i.Event]
	if s := i.Schedule; s != nil {
		return DeliveryTask{Message: m, To: s.To, DueAt: s.DueAt, Timeout: s.Timeout, ExpiresAt: i.ExpiresAt}
	}
	return DeliveryTask{
		DeliveryID: postdate.DeliveryID(m.ID, i.Endpoint),
		Message:    m,
		To:         postdate.Destination{Endpoint: i.Endpoint},
		DueAt:      at,
		Timeout:    i.OwnTimeout,
		ExpiresAt:  i.ExpiresAt,
	}
}

// Undelivered is a delivery that leaves its group or line, with the attempt that was made,
// if one was.
type Undelivered struct {
	GroupItem
	Attempts postdate.Attempts `json:"attempts,omitempty"`
	// At is when it was accepted, where that differs from the group's At.
	At time.Time `json:"at,omitzero"`
}

// HandOverInput is the input of HandOver: the deliveries that leave a group or a line.
type HandOverInput struct {
	// Messages are those of the group in their places, empty where none of their items
	// leaves it.
	Messages []postdate.Message `json:"messages"`
	Items    []Undelivered      `json:"parcels"`
	At       time.Time          `json:"at"`
}

// EnqueueRequest is the request that enqueues an item for the endpoint, or for its canary of
// that id. The line then carries it.
func (i GroupItem) EnqueueRequest(messages []postdate.Message, at time.Time, canary string) EnqueueRequest {
	m := messages[i.Event]
	return EnqueueRequest{
		Tenant: m.Tenant, Endpoint: i.Endpoint, Canary: canary,
		Entry: QueueEntry{DeliveryID: postdate.DeliveryID(m.ID, i.Endpoint), Message: &m, At: at, Terms: i.Terms},
	}
}
