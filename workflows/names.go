package workflows

import (
	"strings"

	"go.temporal.io/sdk/temporal"
)

// TaskQueue is where deliveries wait for a worker.
const TaskQueue = "postdate"

// DeliverName is Deliver as the engine and its Web UI name it.
const DeliverName = "Deliver"

// The Updates that Deliver takes. Each answers with a [Standing].
const (
	UpdateCancel     = "cancel"
	UpdateReschedule = "reschedule" // takes a postdate.Change
	UpdateFire       = "fire"
)

// MemoAccepted is the memo field that holds an [Accepted].
const MemoAccepted = "accepted"

// The search attributes: what a list can be asked by. They are not encrypted.
var (
	Tenant      = temporal.NewSearchAttributeKeyKeyword("Tenant")
	Entity      = temporal.NewSearchAttributeKeyKeywordList("Entity")
	Endpoint    = temporal.NewSearchAttributeKeyKeywordList("Endpoint")
	MessageType = temporal.NewSearchAttributeKeyKeywordList("MessageType")
	// State says what the engine's own status does not: an open delivery that
	// is retrying, a failed one that expired. Unset otherwise, for each time it
	// is set is a write.
	State = temporal.NewSearchAttributeKeyKeyword("State")
)

// SearchAttributes lists all of them, to be registered with the engine.
var SearchAttributes = []temporal.SearchAttributeKey{Tenant, Entity, Endpoint, MessageType, State}

// ScheduleID is the workflow id of a tenant's schedule.
func ScheduleID(tenant, id string) string { return "schedule/" + tenant + "/" + id }

// ParseScheduleID is the inverse of [ScheduleID].
func ParseScheduleID(workflowID string) (tenant, id string, ok bool) {
	rest, ok := strings.CutPrefix(workflowID, "schedule/")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}
