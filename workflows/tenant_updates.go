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
	"github.com/postdate/postdate/activities"
)

// TenantChanged is the answer to an Update: the version that the tenant has
// after it, and what it concerned as it is now.
type TenantChanged struct {
	Version int64 `json:"version"`
	// Created tells whether what was to be created is new: false where it was
	// there already, made by the same request.
	Created  bool               `json:"created,omitempty"`
	Endpoint *postdate.Endpoint `json:"endpoint,omitempty"`
	Key      *postdate.Key      `json:"key,omitempty"`
	// Secret is the newest, of a tenant whose secret was rotated or asked for.
	Secret postdate.Secret `json:"secret,omitempty"`
	// Sweep is the id of the Sweep that was started, if one was.
	Sweep string `json:"sweep,omitempty"`
}

// listen lets the tenant be read and changed.
func (t *tenant) listen(ctx workflow.Context) error {
	return errors.Join(
		workflow.SetQueryHandlerWithOptions(ctx, QueryTenant, t.read,
			workflow.QueryHandlerOptions{Description: "All that is configured, unless its version is known."}),
		takes(ctx, t, UpdateCreateEndpoint, (*draft).createEndpoint, "Adds an endpoint."),
		takes(ctx, t, UpdatePatchEndpoint, (*draft).patchEndpoint, "Changes an endpoint."),
		takes(ctx, t, UpdateDeleteEndpoint, (*draft).deleteEndpoint, "Removes an endpoint; cancels what is under way to it."),
		takes(ctx, t, UpdateSetEndpointState, (*draft).setEndpointState, "Pauses, enables or disables an endpoint; enabling sends what is parked."),
		takes(ctx, t, UpdateReportEndpoint, (*draft).reportEndpoint, "Tells that an endpoint fails, or has recovered."),
		takes(ctx, t, UpdateRotateSecret, (*draft).rotateSecret, "Puts a new secret first."),
		takes(ctx, t, UpdateCreateKey, (*draft).createKey, "Adds a key."),
		takes(ctx, t, UpdateRevokeKey, (*draft).revokeKey, "Removes a key."),
	)
}

// takes has t take an Update. The validator tries the change on a draft; what it
// accepts the handler makes, without asking again whether it may: a history is
// replayed by rules that may be stricter than those it was made by.
func takes[A any](ctx workflow.Context, t *tenant, name string, change func(*draft, A) error, description string) error {
	validate := func(ctx workflow.Context, arg A) error {
		d := t.draft(ctx)
		if err := change(d, arg); err != nil {
			return refuse(err)
		}
		return refuse(d.validate()) //workflowcheck:ignore what a validator says is recorded, and it is not asked again on replay
	}
	handle := func(ctx workflow.Context, arg A) (TenantChanged, error) {
		d := t.draft(ctx)
		if err := change(d, arg); err != nil {
			return TenantChanged{}, refuse(err)
		}
		return t.adopt(ctx, d), nil
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, name, handle,
		workflow.UpdateHandlerOptions{Validator: validate, Description: description})
}

// draft is a tenant as an Update would have it, and what else would follow.
type draft struct {
	postdate.Tenant
	name   string
	now    time.Time
	grew   bool // it may be more than is allowed
	answer TenantChanged
	news   []activities.Announcement
	sweep  *SweepInput
}

// draft copies what Updates change in place: the rest they replace.
func (t *tenant) draft(ctx workflow.Context) *draft {
	d := &draft{Tenant: t.Tenant, name: t.Name, now: workflow.Now(ctx)}
	d.Endpoints, d.Keys = slices.Clone(d.Endpoints), slices.Clone(d.Keys)
	d.answer.Version = d.Version
	return d
}

// change notes that d differs from the tenant as it is: it is another version.
func (d *draft) change() {
	d.Version = d.answer.Version + 1
}

// validate reports the first reason that d may not be.
func (d *draft) validate() error {
	if !d.grew {
		return nil
	}
	if e := d.answer.Endpoint; e != nil {
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

// adopt makes the tenant as d has it, and what follows from that.
func (t *tenant) adopt(ctx workflow.Context, d *draft) TenantChanged {
	d.answer.Version = d.Version
	t.Tenant = d.Tenant
	t.Announcements = append(t.Announcements, d.news...)
	t.Announcements = t.Announcements[max(0, len(t.Announcements)-maxAnnouncements):]
	if d.sweep != nil {
		d.answer.Sweep = t.sweep(ctx, *d.sweep)
	}
	return d.answer
}

// sweep starts a Sweep that outlives this run, and answers its id.
func (t *tenant) sweep(ctx workflow.Context, in SweepInput) (id string) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	id = in.Filter.Endpoint + "-" + strconv.FormatInt(t.Tenant.Version, 10)
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:        SweepID(t.Name, id),
		TaskQueue:         ControlQueue,
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:     string(in.Action) + " → " + in.Filter.Endpoint,
	})
	// It fails where it runs already: then all is well.
	_ = workflow.ExecuteChildWorkflow(ctx, SweepName, in).GetChildWorkflowExecution().Get(ctx, nil)
	return id
}
