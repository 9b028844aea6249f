package protocol

import (
	"net/url"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
)

// DeliverOptions are the options to start a Deliver at now: once for its id, asleep until
// it is due.
func DeliverOptions(in DeliverInput, accepted Accepted, now time.Time) client.StartWorkflowOptions {
	message := in.Shipment.Message
	attributes := []temporal.SearchAttributeUpdate{
		AttrTenant.ValueSet(message.Tenant),
		AttrMessageType.ValueSet([]string{Searchable(message.Type)}),
	}
	if message.Entity != "" {
		attributes = append(attributes, AttrEntity.ValueSet([]string{Searchable(message.Entity)}))
	}
	if endpoint := in.Shipment.To.Endpoint; endpoint != "" {
		attributes = append(attributes, AttrEndpoint.ValueSet([]string{endpoint}))
	}
	if in.Import != "" {
		attributes = append(attributes, AttrImport.ValueSet(in.Import))
	}
	attributes = append(attributes, sizeAttributes(len(message.Data))...)
	options := onceOptions(DeliveryID(message.Tenant, in.Shipment.ID()), TaskQueue, message.Tenant)
	options.StartDelay = max(0, in.WakeAt(now).Sub(now))
	options.TypedSearchAttributes = temporal.NewSearchAttributes(attributes...)
	accepted.DueAt, accepted.StartedAt = in.Shipment.DueAt, now
	options.Memo = map[string]any{MemoAccepted: accepted}
	options.StaticSummary = summary(message.Type, destination(in))
	return options
}

// longAttempt is a timeout of attempts from which on [TaskTimeout] is longer than Temporal's.
const longAttempt = 20 * time.Second

// TaskTimeout is the timeout of the workflow task in which an attempt is made that may take so
// long: 0 for Temporal's own, which is ten seconds. A task that takes longer is kept by
// heartbeats, each of which costs Temporal half of what a delivery does: hundreds of receivers
// that hang would slow down all others. But after so long it comes again when its worker has
// died.
func TaskTimeout(attempt time.Duration) time.Duration {
	if attempt < longAttempt {
		return 0
	}
	return attempt
}

// DispatchOptions are the options to start a Dispatch: once for its id, at once. Its
// search attributes and its memo describe its own part of in alone.
func DispatchOptions(id string, in DispatchInput) client.StartWorkflowOptions {
	options := onceOptions(id, TaskQueue, in.Events[0].Message.Tenant)
	options.TypedSearchAttributes = in.attributes()
	options.Memo = map[string]any{MemoGroup: in.Group()}
	options.StaticSummary = in.summary()
	return options
}

// ScheduleGroupOptions are the options to start a ScheduleGroup at now: once for its id,
// asleep until the first of its schedules is due.
func ScheduleGroupOptions(in ScheduleGroupInput, now time.Time) client.StartWorkflowOptions {
	options := onceOptions(ScheduleGroupID(in.Tenant, in.ID), TaskQueue, in.Tenant)
	options.StartDelay = min(max(0, in.DueAt().Sub(now)), postdate.MaxDelay)
	options.TypedSearchAttributes = in.attributes()
	options.Memo = in.Memo()
	options.StaticSummary = in.summary()
	return options
}

// TenantOptions are the options to start a Tenant, where it does not run.
func TenantOptions(name string) client.StartWorkflowOptions {
	return controlOptions(TenantID(name), name, "endpoints, keys and secrets")
}

// EndpointOptions are the options to start an Endpoint, where it does not run.
func EndpointOptions(tenant, id string) client.StartWorkflowOptions {
	return controlOptions(EndpointID(tenant, id), tenant, "pace, breaker and queue of an endpoint")
}

func controlOptions(id, tenant, about string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       id,
		TaskQueue:                ControlQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            about,
		Priority:                 fairTo(tenant),
	}
}

// LineOptions are the options to start a Line: once for its id, at once.
func LineOptions(in LineInput) client.StartWorkflowOptions {
	options := onceOptions(LineID(in.Tenant, in.Endpoint, in.ID), TaskQueue, in.Tenant)
	options.TypedSearchAttributes = in.attributes()
	options.Memo = map[string]any{MemoGroup: in.Group()}
	options.StaticSummary = in.summary()
	return options
}

// SweepOptions are the options to start a Sweep: once for its id, at once.
func SweepOptions(tenant, id string) client.StartWorkflowOptions {
	options := onceOptions(SweepID(tenant, id), ControlQueue, tenant)
	options.TypedSearchAttributes = temporal.NewSearchAttributes(AttrTenant.ValueSet(tenant))
	return options
}

// onceOptions start an execution once for its id: a second start fails.
func onceOptions(id, queue, tenant string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                queue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		Priority:                                 fairTo(tenant),
	}
}

// fairTo has Temporal dispatch tasks fairly to tenants, however many of another one wait.
// Children and activities inherit it.
func fairTo(tenant string) temporal.Priority { return temporal.Priority{FairnessKey: tenant} }

// PartOptions are the options by which a Dispatch starts a child for a part of its input,
// which outlives it.
func PartOptions(id string, part DispatchInput) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:            id,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		TypedSearchAttributes: part.attributes(),
		Memo:                  map[string]any{MemoGroup: part.Group()},
		StaticSummary:         part.summary(),
	}
}

// destination says where a delivery goes, for Temporal's Web UI. Of a url it holds the
// host alone, since a path may be a secret.
func destination(in DeliverInput) string {
	to := in.Shipment.To
	switch {
	case to.Endpoint != "":
		return to.Endpoint
	case to.Stream != "":
		return to.Stream
	case to.Subscribers():
		return "subscribers"
	}
	u, err := url.Parse(to.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// summary is a line for Temporal's Web UI, which says what goes where. It is short, since
// Temporal takes 400 bytes, encrypted.
func summary(what, where string) string {
	text := what + " → " + where
	return strings.ToValidUTF8(text[:min(len(text), 200)], "")
}
