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

// listen sets the handlers by which the tenant is read and changed.
func (t *tenant) listen(ctx workflow.Context) error {
	return errors.Join(
		workflow.SetQueryHandlerWithOptions(ctx, protocol.QueryTenant, t.read,
			workflow.QueryHandlerOptions{Description: "All that is configured, unless its version is known."}),
		handleUpdate(ctx, t, protocol.UpdateCreateEndpoint, (*change).createEndpoint, "Adds an endpoint."),
		handleUpdate(ctx, t, protocol.UpdatePatchEndpoint, (*change).patchEndpoint, "Changes an endpoint."),
		handleUpdate(ctx, t, protocol.UpdateDeleteEndpoint, (*change).deleteEndpoint, "Removes an endpoint; cancels its deliveries."),
		handleUpdate(ctx, t, protocol.UpdateSetEndpointState, (*change).setEndpointState, "Pauses, enables or disables an endpoint; enabling releases what is parked."),
		handleUpdate(ctx, t, protocol.UpdateChangeCanary, (*change).changeCanary, "Promotes, holds, rolls back or advances an endpoint's canary."),
		handleUpdate(ctx, t, protocol.UpdateReportEndpoint, (*change).reportEndpoint, "Reports that an endpoint fails, or has recovered."),
		handleUpdate(ctx, t, protocol.UpdateRotateSecret, (*change).rotateSecret, "Puts a new secret first."),
		handleUpdate(ctx, t, protocol.UpdateCreateKey, (*change).createKey, "Adds a key."),
		handleUpdate(ctx, t, protocol.UpdateRevokeKey, (*change).revokeKey, "Removes a key."),
		handleUpdate(ctx, t, protocol.UpdatePutCalendar, (*change).putCalendar, "Creates or replaces a holiday calendar."),
		handleUpdate(ctx, t, protocol.UpdateDeleteCalendar, (*change).deleteCalendar, "Removes a holiday calendar."),
		handleUpdate(ctx, t, protocol.UpdateCreateSource, (*change).createSource, "Adds a source."),
		handleUpdate(ctx, t, protocol.UpdatePatchSource, (*change).patchSource, "Changes a source."),
		handleUpdate(ctx, t, protocol.UpdateDeleteSource, (*change).deleteSource, "Removes a source."),
		handleUpdate(ctx, t, protocol.UpdateRotateSourceToken, (*change).rotateSourceToken, "Puts a new token of a source first."),
		handleUpdate(ctx, t, protocol.UpdateLearnSourceSecret, (*change).learnSourceSecret, "Keeps the secret that a source's sender made."),
	)
}

// handleUpdate sets the handler of an Update. The validator makes the change on a copy;
// the handler makes what was accepted without validating it again, since a history may
// be replayed by stricter rules than those by which it was made.
func handleUpdate[A any](ctx workflow.Context, t *tenant, name string, apply func(*change, A) error, description string) error {
	validate := func(ctx workflow.Context, arg A) error {
		c := t.begin(ctx)
		if err := apply(c, arg); err != nil {
			return protocol.EncodeError(err)
		}
		return protocol.EncodeError(c.validate()) //workflowcheck:ignore the result of a validator is recorded, and not computed again on replay
	}
	handle := func(ctx workflow.Context, arg A) (protocol.TenantChanged, error) {
		c := t.begin(ctx)
		if err := apply(c, arg); err != nil {
			return protocol.TenantChanged{}, protocol.EncodeError(err)
		}
		return t.commit(ctx, c), nil
	}
	return setUpdate(ctx, name, handle, validate, description)
}

// change is a tenant as an Update would make it, and what else follows from that.
type change struct {
	postdate.Tenant
	name            string
	now             time.Time
	needsLimitCheck bool // the tenant has grown, maybe beyond its limits
	result          protocol.TenantChanged
	announcements   []protocol.Announcement
	sweep           *protocol.SweepInput
}

// begin begins a change. It copies what Updates change in place: the rest they replace.
func (t *tenant) begin(ctx workflow.Context) *change {
	c := &change{Tenant: t.Tenant, name: t.Name, now: workflow.Now(ctx)}
	c.Endpoints, c.Keys = slices.Clone(c.Endpoints), slices.Clone(c.Keys)
	c.result.Version = c.Version
	return c
}

// markChanged gives the tenant its next version.
func (c *change) markChanged() {
	c.Version = c.result.Version + 1
}

// validate reports the first limit that the tenant breaks.
func (c *change) validate() error {
	if !c.needsLimitCheck {
		return nil
	}
	if e := c.result.Endpoint; e != nil {
		// Whether it may be plain http was validated before, by the settings of the
		// process that took the request.
		if err := e.Validate(true); err != nil {
			return err
		}
	}
	switch {
	case len(c.Endpoints) > postdate.MaxEndpoints:
		return postdate.Errorf(postdate.Invalid, "", "a tenant has at most %d endpoints", postdate.MaxEndpoints)
	case len(c.Keys) > postdate.MaxKeys:
		return postdate.Errorf(postdate.Invalid, "", "a tenant has at most %d keys", postdate.MaxKeys)
	}
	encoded, err := json.Marshal(c.Tenant)
	if err != nil {
		return fmt.Errorf("measure the tenant: %w", err)
	}
	if len(encoded) > postdate.MaxTenantBytes {
		return postdate.Errorf(postdate.Invalid, "",
			"a tenant's endpoints, keys, secrets, calendars and sources take at most %d bytes in all: with this they would take %d",
			postdate.MaxTenantBytes, len(encoded))
	}
	return nil
}

// commit replaces the tenant by the changed one, and starts the sweep that follows.
func (t *tenant) commit(ctx workflow.Context, c *change) protocol.TenantChanged {
	c.result.Version = c.Version
	t.noteCanary(c)
	t.Tenant = c.Tenant
	t.Announcements = append(t.Announcements, c.announcements...)
	t.Announcements = t.Announcements[max(0, len(t.Announcements)-maxAnnouncements):]
	if c.sweep != nil {
		c.result.Sweep = t.sweep(ctx, *c.sweep)
	}
	return c.result
}

// sweep starts a Sweep that outlives this run, and returns its id.
func (t *tenant) sweep(ctx workflow.Context, in protocol.SweepInput) (id string) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	id = in.Filter.Endpoint + "-" + strconv.FormatInt(t.Tenant.Version, 10)
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:        protocol.SweepID(t.Name, id),
		TaskQueue:         protocol.ControlQueue,
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:     string(in.Action) + " → " + in.Filter.Endpoint,
	})
	// It fails only where the same Sweep runs already.
	_ = workflow.ExecuteChildWorkflow(ctx, protocol.SweepWorkflow, in).GetChildWorkflowExecution().Get(ctx, nil)
	return id
}
