package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// DispatchInput is one event or several of one tenant on their way to their
// subscribers.
type DispatchInput struct {
	// Digest is the same for requests that ask for the same.
	Digest string `json:"digest,omitempty"`
	// At is when the events were accepted.
	At     time.Time     `json:"at"`
	Events []Publication `json:"events"`
	// Of is how many parts there are, where this is one of several.
	Of int `json:"of,omitempty"`
}

// Publication is an event and the endpoints that were subscribed to it when it
// was accepted.
type Publication struct {
	Message   postdate.Message `json:"message"`
	Endpoints []string         `json:"endpoints"`
	Terms
}

// DispatchResult lists the deliveries that succeeded at once or were enqueued. All others
// have a Deliver of their own.
type DispatchResult struct {
	Delivered []GroupDelivery `json:"delivered,omitempty"`
	// Queued are those that wait in a line.
	Queued []QueuedDelivery `json:"queued,omitempty"`
}

// QueuedDelivery is a delivery that left its group for a line.
type QueuedDelivery struct {
	Event    int    `json:"event"` // as in [GroupDelivery]
	Endpoint string `json:"endpoint"`
	Line     string `json:"line"` // the workflow id of the line: see [LineID]
}

// GroupDelivery is a delivery that succeeded in its group, at its first attempt.
type GroupDelivery struct {
	// Event is the place of its event in the execution's own part of the input, which is
	// the first of [DispatchInput.Parts].
	Event    int              `json:"event"`
	Endpoint string           `json:"endpoint"`
	Attempt  postdate.Attempt `json:"attempt"`
}

// Group is the memo of a Dispatch or a Line. It names the deliveries that the execution
// carries, so that lists show them without reading the execution. What is handed over
// leaves it, once it has a Deliver.
type Group struct {
	// Digest is the same for requests that ask for the same.
	Digest string         `json:"digest,omitempty"`
	At     time.Time      `json:"at"`
	Events []GroupedEvent `json:"events"`
}

// GroupedEvent is an event in the memo of a Dispatch or a Line.
type GroupedEvent struct {
	ID        string   `json:"id"`
	Type      string   `json:"type"`
	Entity    string   `json:"entity,omitempty"`
	Endpoints []string `json:"endpoints"`
	// At is when it was accepted, in a Line. In a Dispatch the group's At says so.
	At time.Time `json:"at,omitzero"`
	// Cancelled says why it was cancelled, and CancelledAt when, in a Line.
	Cancelled   string    `json:"cancelled,omitempty"`
	CancelledAt time.Time `json:"cancelled_at,omitzero"`
}

const (
	// MaxGroupEndpoints bounds the deliveries that one Dispatch carries. For more it starts
	// further ones, so that Temporal's limits hold for every event.
	MaxGroupEndpoints = 80
	// maxListBytes bounds the search attributes that are lists: Temporal takes 2 KB of
	// each, as JSON.
	maxListBytes = 2000
)

// Parts splits the deliveries of in into parts that are small enough for one execution
// each. The first part is carried by the Dispatch itself, the n-th after it by the Dispatch
// of the id [PartID]. Events without subscribers stay in the first.
//
// The parts are not recorded: those that were started are found by the same rule, so the
// rule must not change.
func (in DispatchInput) Parts() []DispatchInput {
	parts := []DispatchInput{{Digest: in.Digest, At: in.At}}
	var used capacity
	for _, event := range in.Events {
		begun := false
		if len(event.Endpoints) == 0 {
			parts[0].Events = append(parts[0].Events, Publication{Message: event.Message, Endpoints: []string{}, Terms: event.Terms})
		}
		for _, endpoint := range event.Endpoints {
			if !used.add(event.Message, endpoint) {
				parts = append(parts, DispatchInput{Digest: in.Digest, At: in.At})
				used, begun = capacity{}, false
				used.add(event.Message, endpoint)
			}
			part := &parts[len(parts)-1]
			if !begun {
				part.Events = append(part.Events, Publication{Message: event.Message, Terms: event.Terms})
				begun = true
			}
			publication := &part.Events[len(part.Events)-1]
			publication.Endpoints = append(publication.Endpoints, endpoint)
		}
	}
	for i := range parts {
		parts[i].Of = max(in.Of, len(parts))
	}
	return parts
}

// capacity is what a part holds so far.
type capacity struct {
	items                      int
	endpoints, types, entities list
}

// add adds a delivery, if there is room for it.
func (c *capacity) add(m postdate.Message, endpoint string) bool {
	next := c.with(m, endpoint)
	if c.items == 0 || next.items <= MaxGroupEndpoints && next.listed() {
		*c = next
		return true
	}
	return false
}

// with is c with another delivery.
func (c *capacity) with(m postdate.Message, endpoint string) capacity {
	return capacity{c.items + 1, c.endpoints.with(endpoint), c.types.with(m.Type), c.entities.with(m.Entity)}
}

// listed reports whether the search attributes take all values in c.
func (c *capacity) listed() bool { return c.listedWith(c.entities.bytes) }

// listedWith is listed where the entities take so many bytes.
func (c *capacity) listedWith(entities int) bool {
	return max(c.endpoints.bytes, c.types.bytes, entities) <= maxListBytes
}

// list is the value of a search attribute: distinct values, and their size in bytes.
type list struct {
	values []string
	bytes  int
}

// with is l with a value, which need not be searchable.
func (l list) with(value string) list { return l.add(Searchable(value)) }

func (l list) add(value string) list {
	if value == "" || slices.Contains(l.values, value) {
		return l
	}
	encoded, _ := json.Marshal(value) //workflowcheck:ignore a string is always encoded alike, and always can be
	return list{append(l.values, value), l.bytes + len(encoded) + 1}
}

// Own lists the deliveries that the Dispatch of input in carries itself. Their places are
// those in the first of its [DispatchInput.Parts].
func (in DispatchInput) Own() []GroupItem {
	var items []GroupItem
	for i, event := range in.Parts()[0].Events {
		for _, endpoint := range event.Endpoints {
			items = append(items, GroupItem{Event: i, Endpoint: endpoint, Terms: event.Terms})
		}
	}
	return items
}

// Group is the memo of the Dispatch of input in.
func (in DispatchInput) Group() Group {
	group := Group{Digest: in.Digest, At: in.At}
	for _, event := range in.Parts()[0].Events {
		m := event.Message
		group.Events = append(group.Events, GroupedEvent{ID: m.ID, Type: m.Type, Entity: m.Entity, Endpoints: event.Endpoints})
	}
	return group
}

// Lists are the search attributes of the deliveries that the Dispatch of input in carries
// itself.
func (in DispatchInput) Lists() []temporal.SearchAttributeUpdate {
	var own capacity
	for _, event := range in.Parts()[0].Events {
		for _, endpoint := range event.Endpoints {
			own.add(event.Message, endpoint)
		}
	}
	return []temporal.SearchAttributeUpdate{
		own.endpoints.attribute(AttrEndpoint), own.types.attribute(AttrMessageType), own.entities.attribute(AttrEntity),
	}
}

// attribute sets the search attribute to l, or unsets it where l is empty.
func (l list) attribute(key temporal.SearchAttributeKeyKeywordList) temporal.SearchAttributeUpdate {
	if len(l.values) == 0 {
		return key.ValueUnset()
	}
	return key.ValueSet(l.values)
}

// attributes are the search attributes with which the Dispatch of input in starts.
func (in DispatchInput) attributes() temporal.SearchAttributes {
	data := 0
	for _, event := range in.Events {
		data += len(event.Message.Data)
	}
	attributes := append(in.Lists(), AttrTenant.ValueSet(in.Events[0].Message.Tenant))
	return temporal.NewSearchAttributes(append(attributes, sizeAttributes(data)...)...)
}

// Size is about how many bytes in has.
func (in DispatchInput) Size() int {
	size := 0
	for _, event := range in.Events {
		size += len(event.Message.Data) + 1<<10
	}
	return size
}

// summary says in one line what in carries, for Temporal's Web UI.
func (in DispatchInput) summary() string {
	what := fmt.Sprintf("%d events", len(in.Events))
	if len(in.Events) == 1 {
		what = in.Events[0].Message.Type
	}
	return summary(what, fmt.Sprintf("%d endpoints", len(in.Own())))
}
