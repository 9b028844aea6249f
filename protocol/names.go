package protocol

import (
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

const (
	// TaskQueue is the task queue of deliveries.
	TaskQueue = "postdate"
	// ControlQueue is the task queue of tenants and endpoints, so that their changes never
	// wait behind a backlog of deliveries.
	ControlQueue = "postdate-control"
	// OperationQueue is the task queue of the activities that change many deliveries: they
	// may take hours, and hold up neither tenants and endpoints nor deliveries.
	OperationQueue = "postdate-operations"
)

// The names of the workflows, as Temporal's Web UI shows them.
const (
	DeliverWorkflow  = "Deliver"
	DispatchWorkflow = "Dispatch"
	TenantWorkflow   = "Tenant"
	SweepWorkflow    = "Sweep"
	EndpointWorkflow = "Endpoint"
	LineWorkflow     = "Line"
	// ScheduleGroupWorkflow carries schedules that their callers did not name.
	ScheduleGroupWorkflow = "ScheduleGroup"
)

// The Updates that Deliver takes, and ScheduleGroup, to which each has a [ScheduleRequest]
// as its argument. Each returns an [UpdateResult].
const (
	UpdateCancel     = "cancel"
	UpdateReschedule = "reschedule" // takes a postdate.Change
	UpdateFire       = "fire"
)

// The Updates of several schedules that ScheduleGroup takes. Each has a [SchedulesRequest]
// as its argument, and returns [SchedulesChanged].
const (
	UpdateCancelMany   = "cancel_many"
	UpdatePostponeMany = "postpone_many"
)

// SignalRelease releases a parked or waiting delivery: its endpoint may be sent to.
const SignalRelease = "release"

// The Updates that Tenant takes. Each returns a [TenantChanged].
const (
	UpdateCreateEndpoint   = "create_endpoint"    // takes a postdate.Endpoint
	UpdatePatchEndpoint    = "patch_endpoint"     // takes a [PatchEndpoint]
	UpdateDeleteEndpoint   = "delete_endpoint"    // takes an id
	UpdateSetEndpointState = "set_endpoint_state" // takes a [SetEndpointState]
	UpdateReportEndpoint   = "report_endpoint"    // takes a [ReportEndpoint]
	UpdateRotateSecret     = "rotate_secret"      // takes a [RotateSecret]
	UpdateCreateKey        = "create_key"         // takes a postdate.Key
	UpdateRevokeKey        = "revoke_key"         // takes an id
	UpdatePutCalendar      = "put_calendar"       // takes a [PutCalendar]
	UpdateDeleteCalendar   = "delete_calendar"    // takes a name
)

// SignalSuperseded signals to a waiting delivery that a newer message replaces it.
const SignalSuperseded = "superseded"

// The Updates that Endpoint takes.
const (
	UpdateLease = "lease" // takes a [LeaseRequest], returns a [Lease]
	UpdateJoin  = "join"  // takes a [LineStatus]: the line waits to be woken
	UpdateLeave = "leave" // takes a [LineStatus]: the line that was woken is done
)

// SignalSettings signals to Endpoint that its settings have changed. It carries an
// [EndpointSettings].
const SignalSettings = "settings"

// The Queries that Endpoint takes: QueryHealth returns an [EndpointHealth], and QueryTurn,
// which takes the id of a line, a [postdate.QueuePosition].
const (
	QueryHealth = "health"
	QueryTurn   = "turn"
)

// SignalCall wakes a line. It carries a [Wake].
const SignalCall = "call"

// SignalStopped reports that SendLine begins no further attempts. It carries a
// [LineStopped].
const SignalStopped = "stopped"

// UpdateCancelWaiter cancels one of the deliveries that a line carries. It takes the
// delivery's id and returns an [UpdateResult].
const UpdateCancelWaiter = "cancel_waiter"

// QueryTenant reads a tenant. It takes the version that the caller knows (0: none) and
// returns a [TenantRead].
const QueryTenant = "read"

// The memo fields: MemoAccepted of a Deliver holds an [Accepted], MemoGroup of
// a Dispatch or a Line a [Group]. MemoLine of a Deliver that waits is the id of its
// line. MemoSchedules of a ScheduleGroup holds [GroupedSchedules], and MemoTally the
// [ScheduleTally] of them.
const (
	MemoAccepted  = "accepted"
	MemoGroup     = "group"
	MemoLine      = "line"
	MemoSchedules = "schedules"
	MemoTally     = "tally"
)

// The search attributes, by which lists are filtered. They are not encrypted.
var (
	AttrTenant      = temporal.NewSearchAttributeKeyKeyword("Tenant")
	AttrEntity      = temporal.NewSearchAttributeKeyKeywordList("Entity")
	AttrEndpoint    = temporal.NewSearchAttributeKeyKeywordList("Endpoint")
	AttrMessageType = temporal.NewSearchAttributeKeyKeywordList("MessageType")
	// AttrState says what Temporal's own status does not: that an open delivery is
	// retrying, waiting or parked, or that a failed one expired. It is unset otherwise,
	// since each change is a write.
	AttrState = temporal.NewSearchAttributeKeyKeyword("State")
	// AttrBurst is set on deliveries that start late because many of their tenant are due
	// in the same second: see [BurstOf].
	AttrBurst = temporal.NewSearchAttributeKeyKeyword("Burst")
	// AttrImport is set on the schedules of an import that has a name.
	AttrImport = temporal.NewSearchAttributeKeyKeyword("Import")
	// AttrSize is set on executions that were started with much data: see [SizeClass].
	AttrSize = temporal.NewSearchAttributeKeyKeyword("Size")
)

// SearchAttributes lists all search attributes, which must be registered with Temporal.
var SearchAttributes = []temporal.SearchAttributeKey{
	AttrTenant, AttrEntity, AttrEndpoint, AttrMessageType, AttrState, AttrBurst, AttrImport, AttrSize,
}

// BurstOf names the deliveries of a tenant that are due in the same second.
func BurstOf(tenant string, due time.Time) string {
	return tenant + " " + due.UTC().Truncate(time.Second).Format(time.RFC3339)
}

// EncryptionCheckID is the workflow id of the execution that keeps a sealed value, and
// EncryptionCheckWorkflow its type, which nobody runs: it sleeps for a hundred years.
const (
	EncryptionCheckID       = "encryption"
	EncryptionCheckWorkflow = "EncryptionCheck"
)

// ScheduleID is the workflow id of a tenant's schedule.
func ScheduleID(tenant, id string) string { return "schedule/" + tenant + "/" + id }

// EventID is the workflow id of a tenant's event.
func EventID(tenant, id string) string { return "event/" + tenant + "/" + id }

// GroupID is the workflow id of a group of events without ids of their own. Each gets the
// group's id and its place in it: see [postdate.GroupedID].
func GroupID(tenant, id string) string { return "events/" + tenant + "/" + id }

// ScheduleGroupID is the workflow id of a group of schedules without ids of their own.
// Each gets the group's id and its place in it: see [postdate.GroupedScheduleID].
func ScheduleGroupID(tenant, id string) string { return "schedules/" + tenant + "/" + id }

// PartID is the workflow id of the Dispatch that carries the n-th part of the input of the
// Dispatch of that id: see [DispatchInput.Parts].
func PartID(id string, n int) string { return id + "/" + strconv.Itoa(n) }

// TenantID is the workflow id of a tenant.
func TenantID(tenant string) string { return "tenant/" + tenant }

// EndpointID is the workflow id of a tenant's endpoint.
func EndpointID(tenant, id string) string { return "endpoint/" + tenant + "/" + id }

// LineID is the workflow id of a line of an endpoint.
func LineID(tenant, endpoint, id string) string { return "line/" + tenant + "/" + endpoint + "/" + id }

// SweepID is the workflow id of a tenant's sweep.
func SweepID(tenant, id string) string { return "sweep/" + tenant + "/" + id }

// DeliveryID is the workflow id of a tenant's delivery, given the delivery's id: that of a
// schedule, or of an event's delivery once it has a Deliver.
func DeliveryID(tenant, id string) string {
	if event, endpoint, ok := postdate.SplitDeliveryID(id); ok {
		return "delivery/" + tenant + "/" + event + "/" + endpoint
	}
	return ScheduleID(tenant, id)
}

// ParseDeliveryID is the inverse of [DeliveryID].
func ParseDeliveryID(workflowID string) (tenant, id string, ok bool) {
	if rest, is := strings.CutPrefix(workflowID, "schedule/"); is {
		return strings.Cut(rest, "/")
	}
	rest, ok := strings.CutPrefix(workflowID, "delivery/")
	if !ok {
		return "", "", false
	}
	tenant, rest, _ = strings.Cut(rest, "/")
	event, endpoint, ok := strings.Cut(rest, "/")
	return tenant, postdate.DeliveryID(event, endpoint), ok
}
