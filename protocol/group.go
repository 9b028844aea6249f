package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

// GroupItem is one delivery in a group: an event to an endpoint.
type GroupItem struct {
	Event    int    `json:"event"` // its place among the group's messages
	Endpoint string `json:"endpoint"`
	Terms
}

// GroupInput is a group of deliveries.
type GroupInput struct {
	Messages []postdate.Message `json:"messages"`
	Items    []GroupItem        `json:"parcels"`
	// At is when the events were accepted.
	At time.Time `json:"at"`
	// Of is how many parts the events were shared out to: 0 stands for one.
	Of int `json:"of,omitempty"`
}

// GroupAttempt is what came of a parcel.
type GroupAttempt struct {
	postdate.Attempt

	// Line is the one in which it waits, where its outcome is that it is queued.
	Line string `json:"line,omitempty"`
}

func (p GroupItem) Task(messages []postdate.Message, at time.Time) DeliveryTask {
	m := messages[p.Event]
	return DeliveryTask{
		DeliveryID: postdate.DeliveryID(m.ID, p.Endpoint),
		Message:    m,
		To:         postdate.Destination{Endpoint: p.Endpoint},
		DueAt:      at,
	}
}

// Undelivered is a delivery that leaves its group, with the attempt that was made,
// if one was.
type Undelivered struct {
	GroupItem
	Attempts postdate.Attempts `json:"attempts,omitempty"`
	// At is when it was accepted, where that is not the group's.
	At time.Time `json:"at,omitzero"`
}

// HandOverInput is what leaves a group.
type HandOverInput struct {
	// Messages are those of the group in their places; of those that nothing is
	// left of the place alone.
	Messages []postdate.Message `json:"messages"`
	Items    []Undelivered      `json:"parcels"`
	At       time.Time          `json:"at"`
}

// EnqueueRequest is the parcel of a group as it goes in line, in which it travels.
func (p GroupItem) EnqueueRequest(messages []postdate.Message, at time.Time) EnqueueRequest {
	m := messages[p.Event]
	return EnqueueRequest{
		Tenant: m.Tenant, Endpoint: p.Endpoint,
		Entry: QueueEntry{DeliveryID: postdate.DeliveryID(m.ID, p.Endpoint), Message: &m, At: at, Terms: p.Terms},
	}
}
