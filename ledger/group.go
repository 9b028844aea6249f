package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// group is what was seen of a Dispatch.
type group struct {
	info  *workflowpb.WorkflowExecutionInfo
	input workflows.DispatchInput
	// parts are how its deliveries are shared out: the first are its own.
	parts     []workflows.DispatchInput
	delivered []workflows.GroupDelivery
	queued    []workflows.QueuedDelivery
}

// running tells whether first attempts are still made in g.
func (g *group) running() bool {
	return g.info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// completed tells whether all that is g's own was delivered or has left it.
func (g *group) completed() bool {
	return g.info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
}

// part is the number of the Dispatch that carries an event to endpoint: 0 is g
// itself, where it is the one in which the event was accepted.
func (g *group) part(event, endpoint string) (int, bool) {
	number := slices.IndexFunc(g.parts, func(part workflows.DispatchInput) bool {
		return slices.ContainsFunc(part.Events, func(p workflows.Publication) bool {
			return p.Message.ID == event && slices.Contains(p.Endpoints, endpoint)
		})
	})
	return number, number >= 0
}

// publication is an event that was accepted in g, with its endpoints.
func (g *group) publication(event string) (workflows.Publication, bool) {
	place := slices.IndexFunc(g.input.Events, func(p workflows.Publication) bool { return p.Message.ID == event })
	if place < 0 {
		return workflows.Publication{}, false
	}
	return g.input.Events[place], true
}

// attempt is the one by which g itself delivered an event to endpoint.
func (g *group) attempt(event, endpoint string) (postdate.Attempt, bool) {
	for _, d := range g.delivered {
		if d.Endpoint == endpoint && g.parts[0].Events[d.Event].Message.ID == event {
			return d.Attempt, true
		}
	}
	return postdate.Attempt{}, false
}

// line is the id of the one in which an event's delivery to endpoint waits, or has
// waited, since it left g.
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
		return workflows.GroupID(tenant, group)
	}
	return workflows.EventID(tenant, event)
}

// readGroup reads a Dispatch. id is how its caller knows what is in it.
func (l *Ledger) readGroup(ctx context.Context, workflowID, id string) (*group, error) {
	described, err := l.describe(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	g := &group{info: described.GetWorkflowExecutionInfo()}
	if err := l.readInput(ctx, g.info, &g.input); err != nil {
		return nil, err
	}
	g.parts = g.input.Parts()
	if g.running() {
		return g, nil
	}
	end, err := l.lastEvent(ctx, g.info.GetExecution())
	if err != nil {
		return nil, fmt.Errorf("read the end of %s: %w", workflowID, err)
	}
	if payloads := end.GetWorkflowExecutionCompletedEventAttributes().GetResult(); payloads != nil {
		var result workflows.DispatchResult
		if err := l.DataConverter.FromPayloads(payloads, &result); err != nil {
			return nil, fmt.Errorf("read the result of %s: %w", workflowID, err)
		}
		g.delivered, g.queued = result.Delivered, result.Queued
	}
	return g, nil
}

const (
	// leaving is how long a delivery may be on its way out of its group: seen in
	// it no more, and not yet in its own execution.
	leaving = 2 * time.Second
	leap    = 50 * time.Millisecond
)

// lookInGroup reads a delivery that has no execution of its own: it is in the
// group of its event, or has left it just now.
func (l *Ledger) lookInGroup(ctx context.Context, tenant, event, endpoint string) (*Sight, error) {
	id := postdate.DeliveryID(event, endpoint)
	for deadline := time.Now().Add(leaving); ; {
		seen, err := l.lookIntoGroup(ctx, tenant, event, endpoint)
		if err != nil || seen != nil {
			return seen, err
		}
		seen, err = l.lookAlone(ctx, tenant, id)
		if postdate.CodeOf(err) != postdate.NotFound || time.Now().After(deadline) {
			return seen, err
		}
		select {
		case <-time.After(leap):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lookIntoGroup reads a delivery in the group of its event. It answers nothing
// of one that has left the group.
func (l *Ledger) lookIntoGroup(ctx context.Context, tenant, event, endpoint string) (*Sight, error) {
	id := postdate.DeliveryID(event, endpoint)
	carrier, err := l.carrier(ctx, tenant, event, endpoint)
	if err != nil {
		return nil, err
	}
	seen := &Sight{grouped: true, Info: carrier.info}
	if line, queued := carrier.line(event, endpoint); queued {
		return l.lookInLine(ctx, lineID(tenant, endpoint, line), id)
	}
	made, delivered := carrier.attempt(event, endpoint)
	switch {
	case delivered:
		seen.Attempts = postdate.Attempts{made}
	case carrier.completed():
		return nil, nil //nolint:nilnil // it has left
	case !carrier.running():
		seen.failure = "its group was ended by the operator, in the engine"
	}
	publication, _ := carrier.publication(event)
	shipment := activities.Shipment{
		DeliveryID: id,
		Message:    publication.Message,
		To:         postdate.Destination{Endpoint: endpoint},
		DueAt:      carrier.input.At,
	}
	seen.Accepted = workflows.Accepted{To: shipment.To, At: carrier.input.At}
	seen.Input.Shipment = shipment
	if err := l.readRetry(ctx, &seen.Input); err != nil {
		return nil, err
	}
	return seen, l.readTimeout(ctx, seen)
}

// readRetry fills in how the endpoint wants to be tried: a group asks for that
// when it hands over.
func (l *Ledger) readRetry(ctx context.Context, in *workflows.DeliverInput) error {
	tenant, err := l.Directory.Tenant(ctx, in.Shipment.Message.Tenant)
	if err != nil {
		return err
	}
	endpoint, _ := tenant.Endpoint(in.Shipment.To.Endpoint)
	in.Retry = postdate.RetryOrDefault(endpoint.Retry)
	return nil
}

// carrier reads the Dispatch that carries an event's delivery to endpoint: that
// in which the event was accepted or, of many deliveries, a further one.
func (l *Ledger) carrier(ctx context.Context, tenant, event, endpoint string) (*group, error) {
	id := postdate.DeliveryID(event, endpoint)
	root, err := l.readGroup(ctx, groupID(tenant, event), id)
	if err != nil {
		return nil, err
	}
	number, ok := root.part(event, endpoint)
	if !ok {
		return nil, unknown(id)
	}
	if number == 0 {
		return root, nil
	}
	further, err := l.readPart(ctx, root, number, id)
	if postdate.CodeOf(err) == postdate.NotFound && root.running() {
		return root, nil // it is not started yet
	}
	return further, err
}

// readPart reads the Dispatch that carries a part of what root holds.
func (l *Ledger) readPart(ctx context.Context, root *group, number int, id string) (*group, error) {
	return l.readGroup(ctx, workflows.PartID(root.info.GetExecution().GetWorkflowId(), number), id)
}
