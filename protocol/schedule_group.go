package protocol

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// ScheduleGroupInput is schedules of one tenant that their callers did not name, due within
// the same second.
type ScheduleGroupInput struct {
	Tenant  string         `json:"tenant"`
	ID      string         `json:"id"` // see [ScheduleGroupID]
	Entries []GroupedEntry `json:"schedules"`
	// Retries are the different retry plans of them, with their defaults.
	Retries []postdate.Retry   `json:"retries"`
	Result  ScheduleGroupEnded `json:"done,omitzero"`
	// Moved are the places of those that have executions of their own.
	Moved []int `json:"moved,omitempty"`
}

// GroupedEntry is a schedule in a group.
type GroupedEntry struct {
	Shipment DeliveryTask `json:"shipment"`
	Terms
	// Retry is the place of its plan in the group's Retries.
	Retry int `json:"retry,omitempty"`
	// Digest and At are those of [Accepted].
	Digest string    `json:"digest,omitempty"`
	At     time.Time `json:"at"`
}

// ScheduleGroupEnded is what became of the schedules that ended in their group, by their
// places. All others have executions of their own.
type ScheduleGroupEnded struct {
	Delivered map[int]postdate.Attempt `json:"delivered,omitempty"`
	// Cancelled says when each was cancelled.
	Cancelled map[int]time.Time `json:"cancelled,omitempty"`
}

// ScheduleRequest is an Update of one schedule in a group.
type ScheduleRequest struct {
	Place int `json:"place"`
	// Change is that of an [UpdateReschedule].
	Change postdate.Change `json:"change,omitzero"`
}

// GroupedSchedules is the memo of a ScheduleGroup: what lists show of the schedules that it
// carries. What leaves it for an execution of its own leaves the memo.
type GroupedSchedules struct {
	Schedules []GroupedSchedule `json:"schedules"`
}

// GroupedSchedule is a schedule in the memo of a ScheduleGroup.
type GroupedSchedule struct {
	Place  int                  `json:"place"`
	Type   string               `json:"type"`
	Entity string               `json:"entity,omitempty"`
	To     postdate.Destination `json:"to,omitzero"`
	DueAt  time.Time            `json:"due_at"`
	At     time.Time            `json:"at"`
	// CancelledAt is when it was cancelled: zero where it was not.
	CancelledAt time.Time `json:"cancelled_at,omitzero"`
}

// StartDeliveriesInput names deliveries that get executions of their own.
type StartDeliveriesInput struct {
	Deliveries []LeavingDelivery `json:"deliveries"`
}

// LeavingDelivery is a schedule that leaves its group.
type LeavingDelivery struct {
	Input    DeliverInput `json:"input"`
	Accepted Accepted     `json:"accepted"`
}

const (
	// maxScheduleGroup bounds the schedules in one execution.
	maxScheduleGroup = 100
	// maxScheduleGroupBytes bounds them as JSON: Temporal takes 2 MB, encrypted, and a run
	// that continues as new is started with all of them.
	maxScheduleGroupBytes = 512 << 10
)

// ScheduleGroupCapacity is what a ScheduleGroup holds while it is filled.
type ScheduleGroupCapacity struct {
	capacity

	bytes int
}

// Add adds a schedule that has so many bytes as JSON, if there is room for it.
func (c *ScheduleGroupCapacity) Add(in DeliverInput, bytes int) bool {
	next := ScheduleGroupCapacity{c.with(in.Shipment.Message, in.Shipment.To.Endpoint), c.bytes + bytes}
	if c.items > 0 && (!next.listed() || next.items > maxScheduleGroup || next.bytes > maxScheduleGroupBytes) {
		return false
	}
	*c = next
	return true
}

// With is in with another schedule.
func (in ScheduleGroupInput) With(schedule DeliverInput, accepted Accepted) ScheduleGroupInput {
	entry := GroupedEntry{Shipment: schedule.Shipment, Terms: schedule.Terms, Digest: accepted.Digest, At: accepted.At}
	entry.Shipment.Message.ID = postdate.GroupedScheduleID(in.ID, len(in.Entries))
	entry.Retry = slices.IndexFunc(in.Retries, func(known postdate.Retry) bool { return reflect.DeepEqual(known, schedule.Retry) })
	if entry.Retry < 0 {
		entry.Retry = len(in.Retries)
		in.Retries = append(in.Retries, schedule.Retry)
	}
	in.Entries = append(in.Entries, entry)
	return in
}

// Pending are the places of the schedules that have neither ended nor left, in order.
func (in ScheduleGroupInput) Pending() []int {
	var pending []int
	for place := range in.Entries {
		_, delivered := in.Result.Delivered[place]
		_, cancelled := in.Result.Cancelled[place]
		if !delivered && !cancelled && !slices.Contains(in.Moved, place) {
			pending = append(pending, place)
		}
	}
	return pending
}

// DueAt is when the first of those is due: the zero time where there are none.
func (in ScheduleGroupInput) DueAt() time.Time {
	var first time.Time
	for _, place := range in.Pending() {
		if due := in.Entries[place].Shipment.DueAt; first.IsZero() || due.Before(first) {
			first = due
		}
	}
	return first
}

// DeliverInput is the schedule at a place as an execution of its own carries it.
func (in ScheduleGroupInput) DeliverInput(place int) DeliverInput {
	entry := in.Entries[place]
	return DeliverInput{Shipment: entry.Shipment, Terms: entry.Terms, Retry: in.Retries[entry.Retry]}
}

// Accepted is the request by which the schedule at a place was accepted.
func (in ScheduleGroupInput) Accepted(place int) Accepted {
	entry := in.Entries[place]
	return Accepted{Digest: entry.Digest, To: entry.Shipment.To, At: entry.At}
}

// Item is the schedule at a place as SendGroup sends it.
func (in ScheduleGroupInput) Item(place int) GroupItem {
	entry := in.Entries[place]
	to := entry.Shipment.To
	return GroupItem{
		Event: place, Endpoint: to.Endpoint, Terms: entry.Terms,
		Schedule: &GroupedTask{To: to, DueAt: entry.Shipment.DueAt, Timeout: entry.Shipment.Timeout},
	}
}

// Memo is the memo of the ScheduleGroup of input in.
func (in ScheduleGroupInput) Memo() GroupedSchedules {
	memo := GroupedSchedules{Schedules: []GroupedSchedule{}}
	for place, entry := range in.Entries {
		if slices.Contains(in.Moved, place) {
			continue
		}
		m := entry.Shipment.Message
		memo.Schedules = append(memo.Schedules, GroupedSchedule{
			Place: place, Type: m.Type, Entity: m.Entity, To: entry.Shipment.To, DueAt: entry.Shipment.DueAt, At: entry.At,
			CancelledAt: in.Result.Cancelled[place],
		})
	}
	return memo
}

// attributes are the search attributes with which the ScheduleGroup of input in starts.
func (in ScheduleGroupInput) attributes() temporal.SearchAttributes {
	var own ScheduleGroupCapacity
	data := 0
	for _, entry := range in.Entries {
		own.Add(DeliverInput{Shipment: entry.Shipment}, 0)
		data += len(entry.Shipment.Message.Data)
	}
	return temporal.NewSearchAttributes(append(sizeAttributes(data),
		AttrTenant.ValueSet(in.Tenant), own.endpoints.attribute(AttrEndpoint), own.types.attribute(AttrMessageType),
		own.entities.attribute(AttrEntity),
	)...)
}

// summary says in one line what in carries, for Temporal's Web UI.
func (in ScheduleGroupInput) summary() string {
	return summary(fmt.Sprintf("%d schedules", len(in.Entries)), "due at "+in.DueAt().Format(time.RFC3339))
}

// ParseScheduleGroupID is the inverse of [ScheduleGroupID].
func ParseScheduleGroupID(workflowID string) (tenant, id string, ok bool) {
	rest, ok := strings.CutPrefix(workflowID, "schedules/")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}
