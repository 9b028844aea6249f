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

// EventDelivery is a delivery of an event, with its state.
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

// states are the states of an event's deliveries, by endpoint. Those delivered in a
// group are read from the group. Those of the others come from Temporal's list, which is
// a little behind: where it matters, they are read one by one.
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
		switch part := parts[number]; {
		case listed && state.Final():
		case part != nil && part.has(event.Message.ID, endpoint):
			states[endpoint] = postdate.Delivered
		case part != nil && part.inLine(event.Message.ID, endpoint):
			states[endpoint] = cmp.Or(state, postdate.Waiting)
			unsure = append(unsure, endpoint)
		case listed:
			unsure = append(unsure, endpoint)
		case part == nil || !part.running():
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

// listStates adds the states of those of an event's deliveries that Temporal lists with
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
			if states[endpoint] == "" { // an older run was retried: the newest comes first
				states[endpoint] = stateOf(info, now)
			}
		}
		request.NextPageToken = page.GetNextPageToken()
		if len(page.GetNextPageToken()) == 0 {
			return nil
		}
	}
}

// maxUnsure bounds how many deliveries of an event are read one by one. The others have
// the states of the list.
const maxUnsure = 100

// resolve reads the states of deliveries one by one.
func (s *Store) resolve(ctx context.Context, tenant, event string, endpoints []string, states map[string]postdate.State) error {
	found := make([]postdate.State, min(len(endpoints), maxUnsure))
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(maxParallel)
	for i := range found {
		reading.Go(func() error {
			read, err := s.read(ctx, tenant, postdate.DeliveryID(event, endpoints[i]))
			if postdate.CodeOf(err) == postdate.NotFound {
				return nil
			}
			if err == nil {
				found[i] = read.state(s.now())
			}
			return err
		})
	}
	if err := reading.Wait(); err != nil {
		return err
	}
	for i, endpoint := range endpoints {
		if i < len(found) && found[i] != "" {
			states[endpoint] = found[i]
		}
		if states[endpoint] == "" {
			states[endpoint] = postdate.Sending // on its way out of its group
		}
	}
	return nil
}
