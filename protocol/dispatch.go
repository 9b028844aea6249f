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
	// Digest tells whether a repeated request is the same.
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
}

// DispatchResult is what became of the deliveries that succeeded at once. All
// others are with a Deliver of their own.
type DispatchResult struct {
	Delivered []GroupDelivery `json:"delivered,omitempty"`
	// EnqueueRequest are those that wait in line.
	Queued []QueuedDelivery `json:"queued,omitempty"`
}

// QueuedDelivery is a delivery that left its group for a line.
type QueuedDelivery struct {
	Event    int    `json:"event"` // as in [GroupDelivery]
	Endpoint string `json:"endpoint"`
	Line     string `json:"line"` // its id: see [LineID]
}

// GroupDelivery is a delivery that succeeded in its group, at its first attempt.
type GroupDelivery struct {
	// Event is its event's place in the execution's own part of the input: in
	// the first of [DispatchInput.Parts].
	Event    int              `json:"event"`
	Endpoint string           `json:"endpoint"`
	Attempt  postdate.Attempt `json:"attempt"`
}

// Group is the memo of a Dispatch or a Line: which deliveries are in it, so that lists can
// show them without reading it. What is handed over leaves it, once it has a
// Deliver.
type Group struct {
	// Digest tells whether a repeated request is the same.
	Digest string         `json:"digest,omitempty"`
	At     time.Time      `json:"at"`
	Events []GroupedEvent `json:"events"`
}

// GroupedEvent is an event in the memo of a Dispatch.
type GroupedEvent struct {
	ID        string   `json:"id"`
	Type      string   `json:"type"`
	Entity    string   `json:"entity,omitempty"`
	Endpoints []string `json:"endpoints"`
	// At is when it was accepted, in a Line: in a Dispatch that of the group says so.
	At time.Time `json:"at,omitzero"`
	// FailureCancelled says, in a Line, why it was, and CancelledAt when.
	Cancelled   string    `json:"cancelled,omitempty"`
	CancelledAt time.Time `json:"cancelled_at,omitzero"`
}

const (
	// MaxGroupEndpoints is how many deliveries one Dispatch makes: of more, it
	// starts further ones, so that the engine's limits hold whatever the event.
	MaxGroupEndpoints = 80
	// maxListBytes bounds the search attributes that are lists: the engine takes
	// 2 KB of each, as JSON.
	maxListBytes = 2000
)

// Parts shares the deliveries of in out to executions, none of which gets too
// many: the first part is that of the Dispatch itself, the n-th after it that of
// the Dispatch which [PartID] names. Events without subscribers stay in the first.
//
// No record tells how an input was shared out but this: what was started once is
// found by the same rule, so the rule must not change.
func (in DispatchInput) Parts() []DispatchInput {
	parts := []DispatchInput{{Digest: in.Digest, At: in.At}}
	var taken capacity
	for _, event := range in.Events {
		begun := false
		if len(event.Endpoints) == 0 {
			parts[0].Events = append(parts[0].Events, Publication{Message: event.Message, Endpoints: []string{}})
		}
		for _, endpoint := range event.Endpoints {
			if !taken.add(event.Message, endpoint) {
				parts = append(parts, DispatchInput{Digest: in.Digest, At: in.At})
				taken, begun = capacity{}, false
				taken.add(event.Message, endpoint)
			}
			part := &parts[len(parts)-1]
			if !begun {
				part.Events = append(part.Events, Publication{Message: event.Message})
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

// room is what a part holds so far.
type capacity struct {
	items                      int
	endpoints, types, entities list
}

// take makes room for another delivery, if there is any.
func (r *capacity) add(m postdate.Message, endpoint string) bool {
	next := r.with(m, endpoint)
	if r.items == 0 || next.items <= MaxGroupEndpoints && next.listed() {
		*r = next
		return true
	}
	return false
}

// with is r and another delivery, and listed tells whether all in r can be.
func (r *capacity) with(m postdate.Message, endpoint string) capacity {
	return capacity{r.items + 1, r.endpoints.with(endpoint), r.types.with(m.Type), r.entities.with(m.Entity)}
}

func (r *capacity) listed() bool {
	return max(r.endpoints.bytes, r.types.bytes, r.entities.bytes) <= maxListBytes
}

// list is a search attribute: different values, and how many bytes they are.
type list struct {
	values []string
	bytes  int
}

func (l list) with(value string) list {
	if value == "" || slices.Contains(l.values, value) {
		return l
	}
	encoded, _ := json.Marshal(value) //workflowcheck:ignore a string is always encoded alike, and always can be
	return list{append(l.values, value), l.bytes + len(encoded) + 1}
}

// Own lists the deliveries that the Dispatch of input in makes itself; their
// places are those in the first of its [DispatchInput.Parts].
func (in DispatchInput) Own() []GroupItem {
	var parcels []GroupItem
	for i, event := range in.Parts()[0].Events {
		for _, endpoint := range event.Endpoints {
			parcels = append(parcels, GroupItem{Event: i, Endpoint: endpoint})
		}
	}
	return parcels
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

// lists are the search attributes that tell what the Dispatch of input in makes itself.
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

// attribute sets l; an empty one it unsets.
func (l list) attribute(key temporal.SearchAttributeKeyKeywordList) temporal.SearchAttributeUpdate {
	if len(l.values) == 0 {
		return key.ValueUnset()
	}
	return key.ValueSet(l.values)
}

// attributes are the search attributes with which the Dispatch of input in starts.
func (in DispatchInput) attributes() temporal.SearchAttributes {
	return temporal.NewSearchAttributes(append(in.Lists(), AttrTenant.ValueSet(in.Events[0].Message.Tenant))...)
}

// size is about how many bytes in has.
func (in DispatchInput) Size() int {
	size := 0
	for _, event := range in.Events {
		size += len(event.Message.Data) + 1<<10
	}
	return size
}

// line says for people what in carries.
func (in DispatchInput) summary() string {
	what := fmt.Sprintf("%d events", len(in.Events))
	if len(in.Events) == 1 {
		what = in.Events[0].Message.Type
	}
	return summary(what, fmt.Sprintf("%d endpoints", len(in.Own())))
}
