package deliveries

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Event is a published event, as it was at the moment at which it was read.
type Event struct {
	Message postdate.Message
	// At is when it was accepted.
	At         time.Time
	Deliveries []EventDelivery
	// Execution is the one in which it was accepted.
	Execution postdate.Execution
}

// EventDelivery is where a delivery of an event stands.
type EventDelivery struct {
	postdate.DeliveryRef
	State postdate.State
}

// GetEvent returns an event and the states of its deliveries.
func (s *Store) GetEvent(ctx context.Context, tenant, id string) (*Event, error) {
	if err := postdate.ValidateID("/id", id); err != nil {
		return nil, err
	}
	root, err := s.readGroup(ctx, groupID(tenant, id), id)
	if err != nil {
		return nil, err
	}
	publication, ok := root.publication(id)
	if !ok {
		return nil, executions.Unknown(id)
	}
	event := &Event{Message: publication.Message, At: root.input.At, Execution: executionOf(root.info)}
	states, err := s.states(ctx, tenant, root, publication)
	if err != nil {
		return nil, err
	}
	for _, endpoint := range publication.Endpoints {
		event.Deliveries = append(event.Deliveries, EventDelivery{
			DeliveryRef: postdate.DeliveryRef{ID: postdate.DeliveryID(id, endpoint), Endpoint: endpoint},
			State:       states[endpoint],
		})
	}
	return event, nil
}

// states says where the deliveries of an event stand, by endpoint. What was
// delivered in a group is known from there; of the others the engine's list
// tells, which is a little behind: where it matters, they are asked one by one.
func (s *Store) states(ctx context.Context, tenant string, root *group, event protocol.Publication) (map[string]postdate.State, error) {
	states := make(map[string]postdate.State)
	if err := s.listStates(ctx, tenant, event.Message.ID, states); err != nil {
		return nil, err
	}
	parts := map[int]*group{0: root}
	var missing, unsure []string
	for _, endpoint := range event.Endpoints {
		number, _ := root.part(event.Message.ID, endpoint)
		if parts[number] == nil {
			part, err := s.readPart(ctx, root, number, event.Message.ID)
			if err != nil && postdate.CodeOf(err) != postdate.NotFound {
				return nil, err
			}
			parts[number] = part
		}
		state, listed := states[endpoint]
		switch carrier := parts[number]; {
		case listed && state.Final():
		case carrier != nil && carrier.has(event.Message.ID, endpoint):
			states[endpoint] = postdate.Delivered
		case carrier != nil && carrier.inLine(event.Message.ID, endpoint):
			states[endpoint] = cmp.Or(state, postdate.Waiting)
			unsure = append(unsure, endpoint)
		case listed:
			unsure = append(unsure, endpoint)
		case carrier == nil || !carrier.running():
			missing = append(missing, endpoint)
		default:
			states[endpoint] = postdate.Sending
		}
	}
	return states, s.resolve(ctx, tenant, event.Message.ID, append(missing, unsure...), states)
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
func (s *Store) listStates(ctx context.Context, tenant, event string, states map[string]postdate.State) error {
	now := s.now()
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.executions.Namespace(), PageSize: maxPage,
		Query: fmt.Sprintf("WorkflowType = %s AND ExecutionStatus != 'ContinuedAsNew' AND WorkflowId STARTS_WITH %s",
			executions.Quote(protocol.DeliverWorkflow), executions.Quote(protocol.DeliveryID(tenant, postdate.DeliveryID(event, "")))),
	}
	for {
		page, err := s.temporal.ListWorkflow(ctx, request)
		if err != nil {
			return fmt.Errorf("list the deliveries of an event: %w", err)
		}
		for _, info := range page.GetExecutions() {
			_, id, _ := protocol.ParseDeliveryID(info.GetExecution().GetWorkflowId())
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

// maxUnsure bounds how many deliveries of an event are asked one by one. Of
// the others the list's word is taken.
const maxUnsure = 100

// resolve reads deliveries one by one where they stand.
func (s *Store) resolve(ctx context.Context, tenant, event string, endpoints []string, states map[string]postdate.State) error {
	answers := make([]postdate.State, min(len(endpoints), maxUnsure))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(maxParallel)
	for i := range answers {
		asking.Go(func() error {
			read, err := s.read(ctx, tenant, postdate.DeliveryID(event, endpoints[i]))
			if postdate.CodeOf(err) == postdate.NotFound {
				return nil
			}
			if err == nil {
				answers[i] = read.state(s.now())
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
