package protocol

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// LineInput is deliveries that wait for permits of one endpoint, one after another.
type LineInput struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	// Canary is the id of the endpoint's canary, whose queue the line is in. Empty: it is in
	// the endpoint's own.
	Canary string `json:"canary,omitempty"`
	ID     string `json:"id"` // see [LineID]
	// Since is when the first of them was accepted.
	Since   time.Time    `json:"since"`
	Entries []QueueEntry `json:"waiters"`
	// Coalesce: the endpoint gets the keys of the entries.
	Coalesce bool `json:"coalesce,omitempty"`
	// Result and Moved say what became of entries in earlier runs.
	Result LineResult `json:"done,omitzero"`
	Moved  []int      `json:"left,omitempty"`
	// Lost: a run of SendLine was lost with its worker, maybe with what it did.
	Lost bool `json:"lost,omitempty"`
	// Wake is a signal that has come, and for which nothing was sent yet.
	Wake *Wake `json:"call,omitempty"`
	// Pull: consumers take the entries, by leases. Leases are those of earlier runs, by
	// place, and Version counts what has changed.
	Pull    bool              `json:"pull,omitempty"`
	Leases  map[int]LineLease `json:"leases,omitempty"`
	Version int64             `json:"version,omitempty"`
}

// LineResult is what became of the entries that the line carried to their end, by their
// places. All others have executions of their own.
type LineResult struct {
	Delivered map[int]postdate.Attempt `json:"delivered,omitempty"`
	// Cancelled says why each was cancelled.
	Cancelled map[int]string `json:"cancelled,omitempty"`
	// CancelledAt is when.
	CancelledAt map[int]time.Time `json:"cancelled_at,omitempty"`
}

const (
	// MaxLine bounds the deliveries in one line.
	MaxLine = 100
	// maxLineBytes bounds their messages: the input of SendLine holds them all, and
	// Temporal takes 2 MB, encrypted.
	maxLineBytes = 512 << 10
)

// LineCapacity is what a line holds while it is filled.
type LineCapacity struct {
	capacity

	entries, bytes int
}

// Add adds an entry, if there is room for it.
func (c *LineCapacity) Add(endpoint string, entry QueueEntry) bool {
	next := LineCapacity{capacity: c.capacity, entries: c.entries + 1, bytes: c.bytes}
	if entry.Message != nil {
		next.bytes += len(entry.Message.Data)
		next.capacity = c.with(*entry.Message, endpoint)
	}
	if c.entries > 0 && (!next.listed() || next.entries > MaxLine || next.bytes > maxLineBytes) {
		return false
	}
	*c = next
	return true
}

// Place is the place of a delivery that the line carries.
func (in LineInput) Place(id string) (int, bool) {
	place := slices.IndexFunc(in.Entries, func(entry QueueEntry) bool { return entry.DeliveryID == id && entry.Message != nil })
	return place, place >= 0
}

// groupedEvent is the entry at place in the line's memo. The line must carry it.
func (in LineInput) groupedEvent(place int) GroupedEvent {
	entry := in.Entries[place]
	return GroupedEvent{
		ID: entry.Message.ID, Type: entry.Message.Type, Entity: entry.Message.Entity, Endpoints: []string{in.Endpoint}, At: entry.At,
		Cancelled: in.Result.Cancelled[place], CancelledAt: in.Result.CancelledAt[place],
	}
}

// Group is the memo of the Line of input in: the deliveries that it carries.
func (in LineInput) Group() Group {
	group := Group{At: in.Since, Events: []GroupedEvent{}}
	for place, entry := range in.Entries {
		if entry.Message != nil && !slices.Contains(in.Moved, place) {
			group.Events = append(group.Events, in.groupedEvent(place))
		}
	}
	return group
}

// attributes are the search attributes with which the Line of input in starts.
func (in LineInput) attributes() temporal.SearchAttributes {
	var own LineCapacity
	for _, entry := range in.Entries {
		own.Add(in.Endpoint, entry)
	}
	return temporal.NewSearchAttributes(append(sizeAttributes(own.bytes),
		AttrTenant.ValueSet(in.Tenant), AttrEndpoint.ValueSet([]string{in.Endpoint}), AttrState.ValueSet(string(postdate.Waiting)),
		own.types.attribute(AttrMessageType), own.entities.attribute(AttrEntity),
	)...)
}

// summary says in one line what in carries, for Temporal's Web UI.
func (in LineInput) summary() string {
	return summary(fmt.Sprintf("%d deliveries", len(in.Entries)), in.Endpoint)
}
