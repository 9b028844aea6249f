package deliveries

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// group is what was read of a Dispatch.
type group struct {
	info  *workflowpb.WorkflowExecutionInfo
	input protocol.DispatchInput
	// parts are how its deliveries are distributed: those of the first are its own.
	parts     []protocol.DispatchInput
	delivered []protocol.GroupDelivery
	queued    []protocol.QueuedDelivery
}

// running reports whether g still makes first attempts.
func (g *group) running() bool {
	return g.info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// completed reports whether all of g's own deliveries were delivered or have left it.
func (g *group) completed() bool {
	return g.info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
}

// part is the number of the part that carries an event's delivery to endpoint: 0 is g
// itself, where the event was accepted in g.
func (g *group) part(event, endpoint string) (int, bool) {
	number := slices.IndexFunc(g.parts, func(part protocol.DispatchInput) bool {
		return slices.ContainsFunc(part.Events, func(p protocol.Publication) bool {
			return p.Message.ID == event && slices.Contains(p.Endpoints, endpoint)
		})
	})
	return number, number >= 0
}

// publication is an event that was accepted in g, with its endpoints.
func (g *group) publication(event string) (protocol.Publication, bool) {
	place := slices.IndexFunc(g.input.Events, func(p protocol.Publication) bool { return p.Message.ID == event })
	if place < 0 {
		return protocol.Publication{}, false
	}
	return g.input.Events[place], true
}

// attempt is the attempt with which g itself delivered an event to endpoint.
func (g *group) attempt(event, endpoint string) (postdate.Attempt, bool) {
	for _, d := range g.delivered {
		if d.Endpoint == endpoint && g.parts[0].Events[d.Event].Message.ID == event {
			return d.Attempt, true
		}
	}
	return postdate.Attempt{}, false
}

// line is the id of the line for which an event's delivery to endpoint left g.
func (g *group) line(event, endpoint string) (id string, ok bool) {
	for _, q := range g.queued {
		if q.Endpoint == endpoint && g.parts[0].Events[q.Event].Message.ID == event {
			return q.Line, true
		}
	}
	return "", false
}

// groupID is the workflow id of the group in which an event was accepted.
func groupID(tenant, event string) string {
	if group, _, ok := postdate.SplitGroupedID(event); ok {
		return protocol.GroupID(tenant, group)
	}
	return protocol.EventID(tenant, event)
}

// readGroup reads a Dispatch. An error names what the caller looks for by id.
func (s *Store) readGroup(ctx context.Context, workflowID, id string) (*group, error) {
	described, err := s.executions.Describe(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	g := &group{info: described.GetWorkflowExecutionInfo()}
	if err := s.executions.ReadInput(ctx, g.info, &g.input); err != nil {
		return nil, err
	}
	g.parts = g.input.Parts()
	if g.running() {
		return g, nil
	}
	end, err := s.executions.LastEvent(ctx, g.info.GetExecution())
	if err != nil {
		return nil, fmt.Errorf("read the end of %s: %w", workflowID, err)
	}
	if payloads := end.GetWorkflowExecutionCompletedEventAttributes().GetResult(); payloads != nil {
		var result protocol.DispatchResult
		if err := s.executions.Decode(payloads, &result); err != nil {
			return nil, fmt.Errorf("read the result of %s: %w", workflowID, err)
		}
		g.delivered, g.queued = result.Delivered, result.Queued
	}
	return g, nil
}

const (
	// moveTimeout bounds how long a delivery may be on its way out of its group: no
	// longer shown by it, and not yet in its own execution.
	moveTimeout  = 2 * time.Second
	moveInterval = 50 * time.Millisecond
)

// readGrouped reads a delivery that has no execution of its own: it is in the group of
// its event, or has just left it.
func (s *Store) readGrouped(ctx context.Context, tenant, event, endpoint string) (*record, error) {
	id := postdate.DeliveryID(event, endpoint)
	for deadline := time.Now().Add(moveTimeout); ; {
		read, there, err := s.readFromGroup(ctx, tenant, event, endpoint)
		if err != nil || there {
			return read, err
		}
		read, err = s.readOwn(ctx, tenant, id)
		if postdate.CodeOf(err) != postdate.NotFound || time.Now().After(deadline) {
			return read, err
		}
		select {
		case <-time.After(moveInterval):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// readFromGroup reads a delivery in the group of its event. It reports whether the
// delivery is still there, or in the line that it left the group for.
func (s *Store) readFromGroup(ctx context.Context, tenant, event, endpoint string) (read *record, there bool, err error) {
	id := postdate.DeliveryID(event, endpoint)
	g, err := s.groupOf(ctx, tenant, event, endpoint)
	if err != nil {
		return nil, false, err
	}
	read = &record{grouped: true, info: g.info}
	if line, queued := g.line(event, endpoint); queued {
		return s.readQueued(ctx, lineID(tenant, endpoint, line), id)
	}
	attempt, delivered := g.attempt(event, endpoint)
	switch {
	case delivered:
		read.attempts = postdate.Attempts{attempt}
	case g.completed():
		return nil, false, nil
	case !g.running():
		read.failure = "its group was ended by the operator, in Temporal"
	}
	publication, _ := g.publication(event)
	task := protocol.DeliveryTask{
		DeliveryID: id,
		Message:    publication.Message,
		To:         postdate.Destination{Endpoint: endpoint},
		DueAt:      g.input.At,
		Timeout:    publication.OwnTimeout,
	}
	read.input.Terms = publication.Terms
	read.accepted = protocol.Accepted{To: task.To, At: g.input.At}
	read.input.Shipment = task
	return read, true, s.readTenant(ctx, read)
}

// readTenant reads what is configured for the tenant of a delivery that has no execution
// of its own. Its retry plan is that of its source, or of the endpoint now: it is settled
// once it has its own execution.
func (s *Store) readTenant(ctx context.Context, r *record) (err error) {
	if r.tenant, err = s.tenants.Tenant(ctx, r.input.Shipment.Message.Tenant); err != nil {
		return err
	}
	endpoint, _ := r.tenant.Endpoint(r.input.Shipment.To.Endpoint)
	r.input.Retry = postdate.RetryOrDefault(cmp.Or(r.input.OwnRetry, endpoint.Retry))
	return nil
}

// groupOf reads the Dispatch that carries an event's delivery to endpoint: the one in
// which the event was accepted, or a part of it.
func (s *Store) groupOf(ctx context.Context, tenant, event, endpoint string) (*group, error) {
	id := postdate.DeliveryID(event, endpoint)
	root, err := s.readGroup(ctx, groupID(tenant, event), id)
	if err != nil {
		return nil, err
	}
	number, ok := root.part(event, endpoint)
	if !ok {
		return nil, executions.Unknown(id)
	}
	if number == 0 {
		return root, nil
	}
	part, err := s.readPart(ctx, root, number, id)
	if postdate.CodeOf(err) == postdate.NotFound && root.running() {
		return root, nil // the part has not started yet
	}
	return part, err
}

// readPart reads a part of root.
func (s *Store) readPart(ctx context.Context, root *group, number int, id string) (*group, error) {
	return s.readGroup(ctx, protocol.PartID(root.info.GetExecution().GetWorkflowId(), number), id)
}
