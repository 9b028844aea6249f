package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// listen lets the tenant be read and changed.
func (t *tenant) listen(ctx workflow.Context) error {
	return errors.Join(
		workflow.SetQueryHandlerWithOptions(ctx, protocol.QueryTenant, t.read,
			workflow.QueryHandlerOptions{Description: "All that is configured, unless its version is known."}),
		handleUpdate(ctx, t, protocol.UpdateCreateEndpoint, (*change).createEndpoint, "Adds an endpoint."),
		handleUpdate(ctx, t, protocol.UpdatePatchEndpoint, (*change).patchEndpoint, "Changes an endpoint."),
		handleUpdate(ctx, t, protocol.UpdateDeleteEndpoint, (*change).deleteEndpoint, "Removes an endpoint; cancels what is under way to it."),
		handleUpdate(ctx, t, protocol.UpdateSetEndpointState, (*change).setEndpointState, "Pauses, enables or disables an endpoint; enabling sends what is parked."),
		handleUpdate(ctx, t, protocol.UpdateReportEndpoint, (*change).reportEndpoint, "Tells that an endpoint fails, or has recovered."),
		handleUpdate(ctx, t, protocol.UpdateRotateSecret, (*change).rotateSecret, "Puts a new secret first."),
		handleUpdate(ctx, t, protocol.UpdateCreateKey, (*change).createKey, "Adds a key."),
		handleUpdate(ctx, t, protocol.UpdateRevokeKey, (*change).revokeKey, "Removes a key."),
	)
}

// avgDuration has t take an Update. The validator tries the change on a draft; what it
// accepts the handler makes, without asking again whether it may: a history is
// replayed by rules that may be stricter than those it was made by.
func handleUpdate[A any](ctx workflow.Context, t *tenant, name string, change func(*change, A) error, description string) error {
	validate := func(ctx workflow.Context, arg A) error {
		d := t.begin(ctx)
		if err := change(d, arg); err != nil {
			return protocol.EncodeError(err)
		}
		return protocol.EncodeError(d.validate()) //workflowcheck:ignore what a validator says is recorded, and it is not asked again on replay
	}
	handle := func(ctx workflow.Context, arg A) (protocol.TenantChanged, error) {
		d := t.begin(ctx)
		if err := change(d, arg); err != nil {
			return protocol.TenantChanged{}, protocol.EncodeError(err)
		}
		return t.commit(ctx, d), nil
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, name, handle,
		workflow.UpdateHandlerOptions{Validator: validate, Description: description})
}

// begin is a tenant as an Update would have it, and what else would follow.
type change struct {
	postdate.Tenant
	name            string
	now             time.Time
	needsLimitCheck bool // it may be more than is allowed
	result          protocol.TenantChanged
	announcements   []protocol.Announcement
	sweep           *protocol.SweepInput
}

// begin copies what Updates change in place: the rest they replace.
func (t *tenant) begin(ctx workflow.Context) *change {
	d := &change{Tenant: t.Tenant, name: t.Name, now: workflow.Now(ctx)}
	d.Endpoints, d.Keys = slices.Clone(d.Endpoints), slices.Clone(d.Keys)
	d.result.Version = d.Version
	return d
}

// markChanged notes that d differs from the tenant as it is: it is another version.
func (d *change) markChanged() {
	d.Version = d.result.Version + 1
}

// validate reports the first reason that d may not be.
func (d *change) validate() error {
	if !d.needsLimitCheck {
		return nil
	}
	if e := d.result.Endpoint; e != nil {
		// Whether it may be plain http was asked before: that is for the operator
		// of the process in which the request came in to say.
		if err := e.Validate(true); err != nil {
			return err
		}
	}
	switch {
	case len(d.Endpoints) > postdate.MaxEndpoints:
		return postdate.Errorf(postdate.Invalid, "", "a tenant has at most %d endpoints", postdate.MaxEndpoints)
	case len(d.Keys) > postdate.MaxKeys:
		return postdate.Errorf(postdate.Invalid, "", "a tenant has at most %d keys", postdate.MaxKeys)
	}
	encoded, err := json.Marshal(d.Tenant)
	if err != nil {
		return fmt.Errorf("measure the tenant: %w", err)
	}
	if len(encoded) > postdate.MaxTenantBytes {
		return postdate.Errorf(postdate.Invalid, "",
			"a tenant's endpoints, keys and secrets take at most %d bytes in all: with this they would take %d",
			postdate.MaxTenantBytes, len(encoded))
	}
	return nil
}

// commit makes the tenant as d has it, and what follows from that.
func (t *tenant) commit(ctx workflow.Context, d *change) protocol.TenantChanged {
	d.result.Version = d.Version
	t.Tenant = d.Tenant
	t.Announcements = append(t.Announcements, d.announcements...)
	t.Announcements = t.Announcements[max(0, len(t.Announcements)-maxAnnouncements):]
	if d.sweep != nil {
		d.result.Sweep = t.sweep(ctx, *d.sweep)
	}
	return d.result
}

// sweep starts a Sweep that outlives this run, and answers its id.
func (t *tenant) sweep(ctx workflow.Context, in protocol.SweepInput) (id string) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	id = in.Filter.Endpoint + "-" + strconv.FormatInt(t.Tenant.Version, 10)
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:        protocol.SweepID(t.Name, id),
		TaskQueue:         protocol.ControlQueue,
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:     string(in.Action) + " → " + in.Filter.Endpoint,
	})
	// It fails where it runs already: then all is well.
	_ = workflow.ExecuteChildWorkflow(ctx, protocol.SweepWorkflow, in).GetChildWorkflowExecution().Get(ctx, nil)
	return id
}
