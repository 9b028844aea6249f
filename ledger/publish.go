package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// Batch asks for events to be published.
type Batch struct {
	Tenant string
	// Events were held valid. Those without an id travel together: where there is a
	// Key in one execution, else with others of the tenant, in as few as can be. Each
	// other one has an execution of its own.
	Events []postdate.Event
	// Key is the caller's Idempotency-Key, which stands for the ids not given.
	Key         string
	TraceParent string
}

// Published is what became of one of them.
type Published struct {
	ID string
	// Duplicate: it was published before, and that is what is answered.
	Duplicate  bool
	Deliveries []DeliveryRef
	// Err is why it was not accepted: a [postdate.Conflict] where its id is that
	// of another event.
	Err error
}

// DeliveryRef names a delivery of an event.
type DeliveryRef struct{ ID, Endpoint string }

// Publish publishes a named event to its subscribers, once however often it is
// asked for, and answers how many they are.
func (l *Ledger) Publish(ctx context.Context, tenant string, e postdate.Event, traceParent string) (int, error) {
	published, err := l.PublishBatch(ctx, Batch{Tenant: tenant, Events: []postdate.Event{e}, TraceParent: traceParent})
	if err != nil {
		return 0, err
	}
	return len(published[0].Deliveries), published[0].Err
}

// publishing is a batch on its way into the engine.
type publishing struct {
	*Ledger
	Batch
	at         time.Time
	configured *postdate.Tenant
	published  []Published
}

// parallel is how much is asked of the engine side by side for one request.
const parallel = 16

// PublishBatch has events delivered to their subscribers, and answers once that
// is durable, for each of them in their order.
func (l *Ledger) PublishBatch(ctx context.Context, b Batch) ([]Published, error) {
	configured, err := l.Directory.Tenant(ctx, b.Tenant)
	if err != nil {
		return nil, err
	}
	p := &publishing{
		Ledger: l, Batch: b, at: l.Now().UTC(), configured: configured, published: make([]Published, len(b.Events)),
	}
	var starting errgroup.Group
	starting.SetLimit(parallel)
	for _, places := range p.executions() {
		starting.Go(func() error {
			p.publish(ctx, places)
			return nil
		})
	}
	_ = starting.Wait() // each event has an error of its own
	return p.published, nil
}

// executions are the places of the events in the batch, those that belong
// together together: what has no id, and each time an id is given.
func (p *publishing) executions() [][]int {
	var all [][]int
	first := make(map[string]int)
	for place, e := range p.Events {
		if at, seen := first[e.ID]; seen {
			all[at] = append(all[at], place)
			continue
		}
		first[e.ID] = len(all)
		all = append(all, []int{place})
	}
	return all
}

// publish publishes the events at these places: all that have no id, or, one
// after another, those of one id, of which the first counts.
func (p *publishing) publish(ctx context.Context, places []int) {
	if id := p.Events[places[0]].ID; id != "" {
		for _, place := range places {
			p.start(ctx, workflows.EventID(p.Tenant, id), []string{id}, []int{place})
		}
		return
	}
	if p.Key == "" {
		p.gather(ctx, places)
		return
	}
	group := keyedGroup(p.Tenant, p.Key)
	ids := make([]string, len(places))
	for i := range ids {
		ids[i] = postdate.GroupedID(group, i)
	}
	p.start(ctx, workflows.GroupID(p.Tenant, group), ids, places)
}

// keyedGroup is the id of the group that a tenant's idempotency key makes, always.
func keyedGroup(tenant, key string) string {
	sum := sha256.Sum256([]byte(tenant + "\n" + key))
	return hex.EncodeToString(sum[:16])
}

// gather publishes the events at these places, in executions that may carry
// others too.
func (p *publishing) gather(ctx context.Context, places []int) {
	all := make([]*passenger, len(places))
	for i, event := range p.publications(places) {
		all[i] = newPassenger(event, p.at)
	}
	p.travel(ctx, p.Tenant, all)
	for i, place := range places {
		err := <-all[i].carried
		p.answer([]int{place}, []workflows.Publication{all[i].event}, false, err)
	}
}

// start starts the execution that carries the events at these places under
// these ids, or finds what was started before.
func (p *publishing) start(ctx context.Context, workflowID string, ids []string, places []int) {
	in := p.input(ids, places)
	duplicate := false
	err := errTooMany
	if deliveriesOf(in.Events) <= maxDeliveries {
		_, err = p.execute(ctx, workflows.DispatchOptions(workflowID, in), workflows.DispatchName, in)
	}
	if errors.Is(err, ErrExists) {
		duplicate = true
		in.Events, err = p.repeated(ctx, workflowID, in)
	}
	p.answer(places, in.Events, duplicate, err)
}

// answer tells what became of the events at these places.
func (p *publishing) answer(places []int, events []workflows.Publication, duplicate bool, err error) {
	for i, place := range places {
		if err != nil {
			p.published[place] = Published{ID: events[i].Message.ID, Err: err}
			continue
		}
		p.published[place] = published(events[i], duplicate)
	}
}

// maxDeliveries bounds the deliveries of one execution and its parts: its input
// names them all, and the engine takes 2 MB of it.
const maxDeliveries = 30_000

var errTooMany error = postdate.Errorf(postdate.Invalid, "/events",
	"more than %d deliveries in all: publish fewer events at once", maxDeliveries)

func deliveriesOf(events []workflows.Publication) int {
	deliveries := 0
	for _, e := range events {
		deliveries += len(e.Endpoints)
	}
	return deliveries
}

// repeated reads what the execution carries whose id is taken: by an earlier
// request like in, or by another.
func (p *publishing) repeated(ctx context.Context, workflowID string, in workflows.DispatchInput) ([]workflows.Publication, error) {
	id := in.Events[0].Message.ID
	described, err := p.describe(ctx, workflowID, id)
	if err != nil {
		return in.Events, err
	}
	var first workflows.DispatchInput
	if err := p.readInput(ctx, described.GetWorkflowExecutionInfo(), &first); err != nil {
		return in.Events, err
	}
	if first.Digest == in.Digest {
		return first.Events, nil
	}
	if _, _, grouped := postdate.SplitGroupedID(id); grouped {
		return in.Events, postdate.Errorf(postdate.Conflict, "", "this Idempotency-Key is that of a request with other events")
	}
	return in.Events, postdate.Errorf(postdate.Conflict, "", "%q exists already, from a request with another body", id)
}

// input is what carries the events at these places under these ids.
func (p *publishing) input(ids []string, places []int) workflows.DispatchInput {
	asked := make([]postdate.Event, len(places))
	in := workflows.DispatchInput{At: p.at, Events: p.publications(places)}
	for i, place := range places {
		asked[i] = p.Events[place]
		in.Events[i].Message.ID = ids[i]
	}
	in.Digest = digestOf(asked...)
	return in
}

// publications are the events at these places, without ids, and who subscribed.
func (p *publishing) publications(places []int) []workflows.Publication {
	all := make([]workflows.Publication, len(places))
	for i, place := range places {
		e := p.Events[place]
		happened := p.at
		if e.Timestamp != nil {
			happened = e.Timestamp.UTC()
		}
		all[i] = workflows.Publication{
			Message: postdate.Message{
				Tenant: p.Tenant, Entity: e.Entity, Type: e.Type, Timestamp: happened,
				Data: e.Data, TraceParent: p.TraceParent, CloudEvent: e.CloudEvent,
			},
			Endpoints: p.configured.Subscribers(e.Type),
		}
	}
	return all
}

// published is the answer for an event that was accepted.
func published(p workflows.Publication, duplicate bool) Published {
	answer := Published{ID: p.Message.ID, Duplicate: duplicate, Deliveries: make([]DeliveryRef, len(p.Endpoints))}
	for i, endpoint := range p.Endpoints {
		answer.Deliveries[i] = DeliveryRef{ID: postdate.DeliveryID(p.Message.ID, endpoint), Endpoint: endpoint}
	}
	return answer
}
