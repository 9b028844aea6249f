package protocol

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// ScheduleGroupInput is schedules of one tenant that their callers did not name, due within
// the same second. Those of an import with a name, or an Idempotency-Key, are lines of one
// span of it: see [ImportedGroup].
type ScheduleGroupInput struct {
	Tenant  string         `json:"tenant"`
	ID      string         `json:"id"` // see [ScheduleGroupID]
	Entries []GroupedEntry `json:"schedules"`
	// Retries are the different retry plans of them, with their defaults.
	Retries []postdate.Retry   `json:"retries"`
	Result  ScheduleGroupEnded `json:"done,omitzero"`
	// Moved are the places of those that have executions of their own.
	Moved []int `json:"moved,omitempty"`
	// Import is the import that all of them came by. Empty: none.
	Import string `json:"import,omitempty"`
	// Late is how long after it is due it is woken, as one of a burst.
	Late postdate.Duration `json:"late,omitempty"`
	// Burst is when the first run is to start, as one of a burst. Nil: that shows nothing.
	Burst *BurstStart `json:"burst,omitempty"`
	// Postponed is the operation by which all of them were put off last: empty where none was.
	Postponed string `json:"postponed,omitempty"`
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
	// Line is its line in the import: 0 where ids do not follow from lines.
	Line int `json:"line,omitempty"`
}

// ScheduleGroupEnded is what became of the schedules that ended in their group, by their
// places. All others have executions of their own.
type ScheduleGroupEnded struct {
	Delivered map[int]postdate.Attempt `json:"delivered,omitempty"`
	// Cancelled says when each was cancelled.
	Cancelled map[int]time.Time `json:"cancelled,omitempty"`
}

// SchedulesRequest is an Update of several schedules in a group.
type SchedulesRequest struct {
	Places []int `json:"places"`
	// By is how much later each is due, of an [UpdatePostponeMany], and Operation who asks:
	// the same again changes nothing.
	By        postdate.Duration `json:"by,omitempty"`
	Operation string            `json:"operation,omitempty"`
}

// SchedulesChanged is the result of an Update of several schedules in a group, by their
// places.
type SchedulesChanged struct {
	// Done are those that were changed, by this request or by the same one before.
	Done []int `json:"done,omitempty"`
	// Late are those for which it was too late, or that stay as they are for other reasons.
	Late []int `json:"late,omitempty"`
	// Moved are those that have executions of their own, to be changed there.
	Moved []int `json:"moved,omitempty"`
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

// cancelledBy begins the reason with which an operation ends a ScheduleGroup that slept, and
// all of whose schedules it cancels.
const cancelledBy = "cancelled by the operation "

// ScheduleTally counts the schedules in the memo of a ScheduleGroup, for who only counts.
type ScheduleTally struct {
	Carried   int `json:"carried"`
	Cancelled int `json:"cancelled,omitempty"` // of those
}

func (g GroupedSchedules) tally() ScheduleTally {
	return ScheduleTally{Carried: len(g.Schedules), Cancelled: len(g.Schedules) - g.Waiting()}
}

// Waiting is how many of the schedules were not cancelled.
func (g GroupedSchedules) Waiting() int {
	waiting := 0
	for _, schedule := range g.Schedules {
		if schedule.CancelledAt.IsZero() {
			waiting++
		}
	}
	return waiting
}

// CancelledBy is the reason with which an operation ends a ScheduleGroup, all of whose
// schedules it cancels.
func CancelledBy(operation string) string { return cancelledBy + operation }

// IsCancelledBy reports whether a reason is one of [CancelledBy]: what else ends a
// ScheduleGroup is the operator.
func IsCancelledBy(reason string) bool { return strings.HasPrefix(reason, cancelledBy) }

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

// listed reports whether the search attributes take all that is in c: of the entities their
// hashes, where there is no room for themselves.
func (c *ScheduleGroupCapacity) listed() bool {
	return c.listedWith(min(c.entities.bytes, len(c.entities.values)*listedHashBytes))
}

// listedHashBytes is the size of a hash in a list, with its quotes and its comma.
var listedHashBytes = len(SearchableHash("")) + 3

// listedEntities are the entities as they are listed.
func (c *ScheduleGroupCapacity) listedEntities() list {
	if c.entities.bytes <= maxListBytes {
		return c.entities
	}
	var hashed list
	for _, value := range c.entities.values {
		hashed = hashed.add(SearchableHash(Unsearchable(value)))
	}
	return hashed
}

// With is in with another schedule, which stands in a line of an import: 0 where in none.
func (in ScheduleGroupInput) With(schedule DeliverInput, accepted Accepted, line int) ScheduleGroupInput {
	entry := GroupedEntry{Shipment: schedule.Shipment, Terms: schedule.Terms, Digest: accepted.Digest, At: accepted.At, Line: line}
	if entry.Import == in.Import {
		entry.Import = "" // it stands in the group
	}
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

// WakeLate is how long after the first of them is due the group is woken: none expires by
// that.
func (in ScheduleGroupInput) WakeLate() time.Duration {
	late := in.Late.Duration()
	for _, place := range in.Pending() {
		if entry := in.Entries[place]; !entry.ExpiresAt.IsZero() {
			late = min(late, entry.ExpiresAt.Sub(entry.Shipment.DueAt)/2)
		}
	}
	return max(0, late)
}

// DeliverInput is the schedule at a place as an execution of its own carries it.
func (in ScheduleGroupInput) DeliverInput(place int) DeliverInput {
	entry := in.Entries[place]
	return DeliverInput{Shipment: entry.Shipment, Terms: in.terms(place), Retry: in.Retries[entry.Retry]}
}

// terms are those of the schedule at a place.
func (in ScheduleGroupInput) terms(place int) Terms {
	terms := in.Entries[place].Terms
	terms.Import = cmp.Or(terms.Import, in.Import)
	return terms
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
		Event: place, Endpoint: to.Endpoint, Terms: in.terms(place),
		Schedule: &GroupedTask{To: to, DueAt: entry.Shipment.DueAt, Timeout: entry.Shipment.Timeout},
	}
}

// Memo is the memo of the ScheduleGroup of input in.
func (in ScheduleGroupInput) Memo() map[string]any {
	schedules := in.grouped()
	return map[string]any{MemoSchedules: schedules, MemoTally: schedules.tally()}
}

// grouped are the schedules that have not left.
func (in ScheduleGroupInput) grouped() GroupedSchedules {
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
	attributes := sizeAttributes(data)
	if in.Import != "" {
		attributes = append(attributes, AttrImport.ValueSet(in.Import))
	}
	return temporal.NewSearchAttributes(append(attributes,
		AttrTenant.ValueSet(in.Tenant), own.endpoints.attribute(AttrEndpoint), own.types.attribute(AttrMessageType),
		own.listedEntities().attribute(AttrEntity),
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
