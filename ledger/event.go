package ledger

import (
	"cmp"
	"context"
	"fmt"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// EventSight is what was seen of an event at one moment.
type EventSight struct {
	Message postdate.Message
	// At is when it was accepted.
	At         time.Time
	Deliveries []EventDelivery
	// Info is the engine's, of the execution in which it was accepted.
	Info *workflowpb.WorkflowExecutionInfo
}

// EventDelivery is where a delivery of an event stands.
type EventDelivery struct {
	DeliveryRef
	State postdate.State
}

// LookEvent reads an event and where its deliveries stand.
func (l *Ledger) LookEvent(ctx context.Context, tenant, id string) (*EventSight, error) {
	if err := postdate.ValidateID("/id", id); err != nil {
		return nil, err
	}
	root, err := l.readGroup(ctx, groupID(tenant, id), id)
	if err != nil {
		return nil, err
	}
	publication, ok := root.publication(id)
	if !ok {
		return nil, unknown(id)
	}
	seen := &EventSight{Message: publication.Message, At: root.input.At, Info: root.info}
	states, err := l.states(ctx, tenant, root, publication)
	if err != nil {
		return nil, err
	}
	for _, endpoint := range publication.Endpoints {
		seen.Deliveries = append(seen.Deliveries, EventDelivery{
			DeliveryRef: DeliveryRef{ID: postdate.DeliveryID(id, endpoint), Endpoint: endpoint},
			State:       states[endpoint],
		})
	}
	return seen, nil
}

// states says where the deliveries of an event stand, by endpoint. What was
// delivered in a group is known from there; of the others the engine's list
// tells, which is a little behind: where it matters, they are asked one by one.
func (l *Ledger) states(ctx context.Context, tenant string, root *group, event workflows.Publication) (map[string]postdate.State, error) {
	states := make(map[string]postdate.State)
	if err := l.listStates(ctx, tenant, event.Message.ID, states); err != nil {
		return nil, err
	}
	parts := map[int]*group{0: root}
	var missing, doubtful []string
	for _, endpoint := range event.Endpoints {
		number, _ := root.part(event.Message.ID, endpoint)
		if parts[number] == nil {
			part, err := l.readPart(ctx, root, number, event.Message.ID)
			if err != nil && postdate.CodeOf(err) != postdate.NotFound {
				return nil, err
			}
			parts[number] = part
		}
		state, listed := states[endpoint]
		switch carrier := parts[number]; {
		case listed && state.Over():
		case carrier != nil && carrier.has(event.Message.ID, endpoint):
			states[endpoint] = postdate.Delivered
		case carrier != nil && carrier.inLine(event.Message.ID, endpoint):
			states[endpoint] = cmp.Or(state, postdate.Waiting)
			doubtful = append(doubtful, endpoint)
		case listed:
			doubtful = append(doubtful, endpoint)
		case carrier == nil || !carrier.running():
			missing = append(missing, endpoint)
		default:
			states[endpoint] = postdate.Sending
		}
	}
	return states, l.settle(ctx, tenant, event.Message.ID, append(missing, doubtful...), states)
}

func (g *group) has(event, endpoint string) bool {
	_, ok := g.attempt(event, endpoint)
	return ok
}

func (g *group) inLine(event, endpoint string) bool {
	_, ok := g.line(event, endpoint)
	return ok
}

// listStates asks the engine's list for the deliveries of an event that have
// executions of their own.
func (l *Ledger) listStates(ctx context.Context, tenant, event string, states map[string]postdate.State) error {
	now := l.Now()
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: l.Namespace, PageSize: mostRows,
		Query: fmt.Sprintf("WorkflowType = %s AND ExecutionStatus != 'ContinuedAsNew' AND WorkflowId STARTS_WITH %s",
			quote(workflows.DeliverName), quote(workflows.DeliveryID(tenant, postdate.DeliveryID(event, "")))),
	}
	for {
		page, err := l.Temporal.ListWorkflow(ctx, request)
		if err != nil {
			return fmt.Errorf("list the deliveries of an event: %w", err)
		}
		for _, info := range page.GetExecutions() {
			_, id, _ := workflows.ParseDeliveryID(info.GetExecution().GetWorkflowId())
			_, endpoint, _ := postdate.SplitDeliveryID(id)
			if states[endpoint] == "" { // else it was retried: the newest run comes first
				states[endpoint] = stateOf(info, now)
			}
		}
		request.NextPageToken = page.GetNextPageToken()
		if len(page.GetNextPageToken()) == 0 {
			return nil
		}
	}
}

// mostDoubtful bounds how many deliveries of an event are asked one by one. Of
// the others the list's word is taken.
const mostDoubtful = 100

// settle asks deliveries one by one where they stand.
func (l *Ledger) settle(ctx context.Context, tenant, event string, endpoints []string, states map[string]postdate.State) error {
	answers := make([]postdate.State, min(len(endpoints), mostDoubtful))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(parallel)
	for i := range answers {
		asking.Go(func() error {
			seen, err := l.look(ctx, tenant, postdate.DeliveryID(event, endpoints[i]))
			if postdate.CodeOf(err) == postdate.NotFound {
				return nil
			}
			if err == nil {
				answers[i] = seen.State(l.Now())
			}
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return err
	}
	for i, endpoint := range endpoints {
		if i < len(answers) && answers[i] != "" {
			states[endpoint] = answers[i]
		}
		if states[endpoint] == "" {
			states[endpoint] = postdate.Sending // on its way out of its group
		}
	}
	return nil
}
