package protocol

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// LineInput is deliveries that wait for consecutive turns at one endpoint.
type LineInput struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	ID       string `json:"id"` // see [LineID]
	// Since is when the first of them was accepted.
	Since   time.Time    `json:"since"`
	Entries []QueueEntry `json:"waiters"`
	// Coalesce has the endpoint told of their keys.
	Coalesce bool `json:"coalesce,omitempty"`
	// Result and Left tell what became of waiters before the execution started anew.
	Result LineResult `json:"done,omitzero"`
	Moved  []int      `json:"left,omitempty"`
	// Lost: a call was lost with its worker, and so may be what it did.
	Lost bool `json:"lost,omitempty"`
	// Wake is one that has come, and for which nobody was sent yet.
	Wake *Wake `json:"call,omitempty"`
}

// LineResult is what became of the waiters that travelled in the line: by their
// places. All others have executions of their own.
type LineResult struct {
	Delivered map[int]postdate.Attempt `json:"delivered,omitempty"`
	// FailureCancelled says why each of them was.
	Cancelled map[int]string `json:"cancelled,omitempty"`
	// CancelledAt is when.
	CancelledAt map[int]time.Time `json:"cancelled_at,omitempty"`
}

const (
	// MaxLine is how many deliveries wait in one line.
	MaxLine = 100
	// maxLineBytes bounds their messages: of what a call takes along twice the
	// engine takes 2 MB.
	maxLineBytes = 512 << 10
)

// LineCapacity is what a line holds while it is filled.
type LineCapacity struct {
	capacity

	waiters, bytes int
}

// Add makes room for another waiter, if there is any.
func (r *LineCapacity) Add(endpoint string, w QueueEntry) bool {
	next := LineCapacity{capacity: r.capacity, waiters: r.waiters + 1, bytes: r.bytes}
	if w.Message != nil {
		next.bytes += len(w.Message.Data)
		next.capacity = r.with(*w.Message, endpoint)
	}
	if r.waiters > 0 && (!next.listed() || next.waiters > MaxLine || next.bytes > maxLineBytes) {
		return false
	}
	*r = next
	return true
}

// Place is where a delivery waits that travels in the line.
func (in LineInput) Place(id string) (int, bool) {
	place := slices.IndexFunc(in.Entries, func(w QueueEntry) bool { return w.DeliveryID == id && w.Message != nil })
	return place, place >= 0
}

// entry is how the line's memo tells of the waiter at place, which travels in it.
func (in LineInput) entry(place int) GroupedEvent {
	w := in.Entries[place]
	return GroupedEvent{
		ID: w.Message.ID, Type: w.Message.Type, Entity: w.Message.Entity, Endpoints: []string{in.Endpoint}, At: w.At,
		Cancelled: in.Result.Cancelled[place], CancelledAt: in.Result.CancelledAt[place],
	}
}

// Group is the memo of the Line of input in: those that travel in it.
func (in LineInput) Group() Group {
	group := Group{At: in.Since, Events: []GroupedEvent{}}
	for place, w := range in.Entries {
		if w.Message != nil && !slices.Contains(in.Moved, place) {
			group.Events = append(group.Events, in.entry(place))
		}
	}
	return group
}

// attributes are the search attributes with which the Line of input in starts.
func (in LineInput) attributes() temporal.SearchAttributes {
	var own LineCapacity
	for _, w := range in.Entries {
		own.Add(in.Endpoint, w)
	}
	return temporal.NewSearchAttributes(
		AttrTenant.ValueSet(in.Tenant), AttrEndpoint.ValueSet([]string{in.Endpoint}), AttrState.ValueSet(string(postdate.Waiting)),
		own.types.attribute(AttrMessageType), own.entities.attribute(AttrEntity),
	)
}

// line says for people what in carries.
func (in LineInput) summary() string {
	return summary(fmt.Sprintf("%d deliveries", len(in.Entries)), in.Endpoint)
}
