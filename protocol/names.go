package protocol

import (
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

const (
	// TaskQueue is where deliveries wait for a worker.
	TaskQueue = "postdate"
	// ControlQueue is where tenants do, so that a change of an endpoint, and
	// whoever asks for it, never wait behind a backlog of deliveries.
	ControlQueue = "postdate-control"
)

// The workflows as the engine and its Web UI name them.
const (
	DeliverWorkflow  = "Deliver"
	DispatchWorkflow = "Dispatch"
	TenantWorkflow   = "Tenant"
	SweepWorkflow    = "Sweep"
	EndpointWorkflow = "Endpoint"
	LineWorkflow     = "Line"
)

// The Updates that Deliver takes. Each answers with a [UpdateResult].
const (
	UpdateCancel     = "cancel"
	UpdateReschedule = "reschedule" // takes a postdate.Change
	UpdateFire       = "fire"
)

// SignalRelease tells a parked delivery that its endpoint may be sent to again.
const SignalRelease = "release"

// The Updates that Tenant takes. Each answers with a [TenantChanged].
const (
	UpdateCreateEndpoint   = "create_endpoint"    // takes a postdate.AttrEndpoint
	UpdatePatchEndpoint    = "patch_endpoint"     // takes a [PatchEndpoint]
	UpdateDeleteEndpoint   = "delete_endpoint"    // takes an id
	UpdateSetEndpointState = "set_endpoint_state" // takes a [SetEndpointState]
	UpdateReportEndpoint   = "report_endpoint"    // takes a [ReportEndpoint]
	UpdateRotateSecret     = "rotate_secret"      // takes a [RotateSecret]
	UpdateCreateKey        = "create_key"         // takes a postdate.Key
	UpdateRevokeKey        = "revoke_key"         // takes an id
)

// SignalSuperseded tells a waiting delivery that a newer message has taken its place.
const SignalSuperseded = "superseded"

// The Updates that Endpoint takes.
const (
	UpdateLease = "lease" // takes an [LeaseRequest], answers a [Lease]
	UpdateJoin  = "join"  // takes an activities.LineStatus: it waits for the call
	UpdateLeave = "leave" // takes an activities.LineStatus: what was called is done
)

// SignalSettings tells Endpoint that its settings have changed: it carries an
// [EndpointSettings].
const SignalSettings = "settings"

// The Queries that Endpoint answers: QueryHealth an [EndpointHealth], QueryTurn,
// which takes a line's id, a postdate.QueuePosition.
const (
	QueryHealth = "health"
	QueryTurn   = "turn"
)

// SignalCall tells a line that its turns have come: it carries a [Wake].
const SignalCall = "call"

// UpdateCancelWaiter has a line give up one of its deliveries: it takes the
// delivery's id and answers a [UpdateResult].
const UpdateCancelWaiter = "cancel_waiter"

// QueryTenant reads a tenant: it takes the version that the caller knows (0:
// none) and answers a [TenantRead].
const QueryTenant = "read"

// The memo fields: MemoAccepted of a Deliver holds an [Accepted], MemoGroup of
// a Dispatch or a Line a [Group]. MemoLine of a Deliver that waits is the id of its
// line.
const (
	MemoAccepted = "accepted"
	MemoGroup    = "group"
	MemoLine     = "line"
)

// The search attributes: what a list can be asked by. They are not encrypted.
var (
	AttrTenant      = temporal.NewSearchAttributeKeyKeyword("Tenant")
	AttrEntity      = temporal.NewSearchAttributeKeyKeywordList("Entity")
	AttrEndpoint    = temporal.NewSearchAttributeKeyKeywordList("Endpoint")
	AttrMessageType = temporal.NewSearchAttributeKeyKeywordList("MessageType")
	// AttrState says what the engine's own status does not: an open delivery that
	// is retrying, waiting or parked, a failed one that expired. Unset otherwise, for each
	// time it is set is a write.
	AttrState = temporal.NewSearchAttributeKeyKeyword("State")
	// AttrBurst is set on what is woken late because many of its tenant are due at its
	// moment: see [BurstOf].
	AttrBurst = temporal.NewSearchAttributeKeyKeyword("Crowd")
)

// SearchAttributes lists all of them, to be registered with the engine.
var SearchAttributes = []temporal.SearchAttributeKey{AttrTenant, AttrEntity, AttrEndpoint, AttrMessageType, AttrState, AttrBurst}

// BurstOf names what a tenant has due within the second of due.
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

// GroupID is the workflow id of events that travel together. Their own ids are
// its id and their place in it: see [postdate.GroupedID].
func GroupID(tenant, id string) string { return "events/" + tenant + "/" + id }

// PartID is the workflow id of the Dispatch that carries the n-th part of what
// the Dispatch of that id was started with: see [DispatchInput.Parts].
func PartID(id string, n int) string { return id + "/" + strconv.Itoa(n) }

// TenantID is the workflow id of a tenant.
func TenantID(tenant string) string { return "tenant/" + tenant }

// EndpointID is the workflow id of a tenant's endpoint.
func EndpointID(tenant, id string) string { return "endpoint/" + tenant + "/" + id }

// LineID is the workflow id of a line: of those that wait for an endpoint.
func LineID(tenant, endpoint, id string) string { return "line/" + tenant + "/" + endpoint + "/" + id }

// SweepID is the workflow id of a tenant's sweep.
func SweepID(tenant, id string) string { return "sweep/" + tenant + "/" + id }

// DeliveryID is the workflow id of a tenant's delivery, by the delivery's id: a
// schedule's is the schedule's own, an event's that of its Deliver, once it has one.
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
