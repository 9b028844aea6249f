package ingest

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Batch is a request to publish events.
type Batch struct {
	Tenant string
	// Events are valid. Each that has an id has an execution of its own. Those without
	// share one where there is a Key, and else as few as can be, also with events of
	// other requests of the tenant.
	Events []postdate.Event
	// Key is the caller's Idempotency-Key: it stands for the ids that were not given.
	Key         string
	TraceParent string
	// Endpoint gets the events, whatever it subscribed to. Empty: their subscribers do.
	Endpoint string
	// Terms are those of its deliveries.
	Terms protocol.Terms
	// Limited: a caller wants it, and the tenant's quotas hold. What is published for the
	// sake of something that was accepted is not limited.
	Limited bool

	group string // the id of the group that Key, or what is published, stands for
}

// Published is the result for one event.
type Published struct {
	ID string
	// Duplicate says that it was published before: the result is that of the first time.
	Duplicate  bool
	Deliveries []postdate.DeliveryRef
	// Err is why it was not accepted: a [postdate.Conflict] where another event has its id.
	Err error
}

// Publish publishes a named event to its subscribers, and returns how many they are.
// Repeating it publishes the event once.
func (i *Ingester) Publish(ctx context.Context, tenant string, e postdate.Event, traceParent string) (int, error) {
	return i.publishOne(ctx, Batch{Tenant: tenant, Events: []postdate.Event{e}, TraceParent: traceParent})
}

// PublishSchedule publishes a schedule that is due to its subscribers, as
// [Ingester.Publish] does. Its event has its id, or where a caller's event has that, one
// that no caller can choose.
func (i *Ingester) PublishSchedule(ctx context.Context, tenant string, e postdate.Event, traceParent string) (int, error) {
	subscribers, err := i.Publish(ctx, tenant, e, traceParent)
	if postdate.CodeOf(err) != postdate.Conflict {
		return subscribers, err
	}
	group := protocol.ScheduledGroup(tenant, e.ID)
	e.ID = ""
	return i.publishOne(ctx, Batch{Tenant: tenant, Events: []postdate.Event{e}, TraceParent: traceParent, group: group})
}

// publishOne publishes the one event of b, and returns how many its subscribers are.
func (i *Ingester) publishOne(ctx context.Context, b Batch) (int, error) {
	results, err := i.PublishBatch(ctx, b)
	if err != nil {
		return 0, err
	}
	return len(results[0].Deliveries), results[0].Err
}

// publishRun is one call of [Ingester.PublishBatch].
type publishRun struct {
	*Ingester
	Batch
	at      time.Time
	tenant  *postdate.Tenant
	results []Published
	refusal error // why nothing new is accepted: nil where it is
}

// maxParallel is how many starts one request makes side by side.
const maxParallel = 16

// PublishBatch publishes events to their subscribers. It returns once they are durable,
// with a result for each event in its place.
func (i *Ingester) PublishBatch(ctx context.Context, b Batch) ([]Published, error) {
	tenant, err := i.tenants.Tenant(ctx, b.Tenant)
	if err != nil {
		return nil, err
	}
	if b.Key != "" {
		b.group = protocol.KeyedGroup(b.Tenant, b.Key)
	}
	r := &publishRun{Ingester: i, Batch: b, at: i.now().UTC(), tenant: tenant, results: make([]Published, len(b.Events))}
	r.refusal = r.check()
	var starting errgroup.Group
	starting.SetLimit(maxParallel)
	for _, indexes := range r.byExecution() {
		starting.Go(func() error {
			r.publish(ctx, indexes)
			return nil
		})
	}
	_ = starting.Wait() // each event has an error of its own
	return r.results, nil
}

// byExecution groups the indexes of the events by the execution that carries them: all
// that have no id, and all that are the same event.
func (r *publishRun) byExecution() [][]int {
	var groups [][]int
	first := make(map[string]int)
	for index, event := range r.Events {
		workflowID, _ := identityOf(r.Tenant, event)
		if at, ok := first[workflowID]; ok {
			groups[at] = append(groups[at], index)
			continue
		}
		first[workflowID] = len(groups)
		groups = append(groups, []int{index})
	}
	return groups
}

// identityOf is the workflow id and the id of an event that its caller named. Both are
// empty for others.
func identityOf(tenant string, e postdate.Event) (workflowID, id string) {
	switch {
	case e.ID == "":
		return "", ""
	case e.CloudEvent != nil:
		id = postdate.CloudEventID(e.CloudEvent.Source, cmp.Or(e.CloudEvent.ID, e.ID))
		group, _, _ := postdate.SplitGroupedID(id)
		return protocol.GroupID(tenant, group), id
	default:
		return protocol.EventID(tenant, e.ID), e.ID
	}
}

// publish publishes the events at these indexes: all that have no id, or those that are
// the same event, one after another, of which the first counts.
func (r *publishRun) publish(ctx context.Context, indexes []int) {
	if workflowID, id := identityOf(r.Tenant, r.Events[indexes[0]]); id != "" {
		for _, index := range indexes {
			r.start(ctx, workflowID, []string{id}, []int{index})
		}
		return
	}
	if r.group == "" {
		r.publishUnnamed(ctx, indexes)
		return
	}
	ids := make([]string, len(indexes))
	for place := range ids {
		ids[place] = postdate.GroupedID(r.group, place)
	}
	r.start(ctx, protocol.GroupID(r.Tenant, r.group), ids, indexes)
}

// publishUnnamed publishes the events at these indexes in executions that may carry
// events of other requests too.
func (r *publishRun) publishUnnamed(ctx context.Context, indexes []int) {
	items := make([]*item, 0, len(indexes))
	admitted, releases := make([]int, 0, len(indexes)), make([]func(), 0, len(indexes))
	for n, publication := range r.publications(indexes) {
		release, err := r.admit(ctx, publication)
		if err != nil {
			r.setResults(indexes[n:n+1], []protocol.Publication{publication}, false, err)
			continue
		}
		items = append(items, newItem(publication, r.at))
		admitted, releases = append(admitted, indexes[n]), append(releases, release)
	}
	r.batch(ctx, r.Tenant, items)
	for n, index := range admitted {
		err := <-items[n].started
		if err != nil {
			releases[n]()
		}
		r.setResults([]int{index}, []protocol.Publication{items[n].event}, false, err)
	}
}

// start starts the execution that carries the events at these indexes under these ids,
// or finds the one that an earlier request started.
func (r *publishRun) start(ctx context.Context, workflowID string, ids []string, indexes []int) {
	in := r.input(ids, indexes)
	err, duplicate := r.startOnce(ctx, workflowID, in), false
	if errors.Is(err, executions.ErrExists) || postdate.CodeOf(err).IsRefusal() {
		// What was accepted before is found whatever the tenant may have besides.
		found, findErr := r.findExisting(ctx, workflowID, nameOf(r.Events[indexes[0]]), in)
		if errors.Is(err, executions.ErrExists) || postdate.CodeOf(findErr) != postdate.NotFound {
			in.Events, err, duplicate = found, findErr, true
		}
	}
	r.setResults(indexes, in.Events, duplicate, err)
}

// startOnce starts an execution, unless a quota refuses it.
func (r *publishRun) startOnce(ctx context.Context, workflowID string, in protocol.DispatchInput) error {
	if deliveriesOf(in.Events) > maxDeliveries {
		return errTooMany
	}
	release, err := r.admit(ctx, in.Events...)
	if err != nil {
		return err
	}
	if err = r.startDispatch(ctx, workflowID, in); err != nil {
		release()
	}
	return err
}

// setResults sets the results of the events at these indexes.
func (r *publishRun) setResults(indexes []int, publications []protocol.Publication, duplicate bool, err error) {
	for n, index := range indexes {
		if err != nil {
			r.results[index] = Published{ID: publications[n].Message.ID, Err: err}
			continue
		}
		r.results[index] = resultOf(publications[n], duplicate)
	}
}

// maxDeliveries bounds the deliveries of one execution and its parts: its input names
// them all, and Temporal accepts 2 MB of input.
const maxDeliveries = 30_000

var errTooMany error = postdate.Errorf(postdate.Invalid, "/events",
	"more than %d deliveries in all: publish fewer events at once", maxDeliveries)

func deliveriesOf(publications []protocol.Publication) int {
	deliveries := 0
	for _, publication := range publications {
		deliveries += len(publication.Endpoints)
	}
	return deliveries
}

// nameOf is the id that an event's caller gave it.
func nameOf(e postdate.Event) string {
	if e.CloudEvent == nil {
		return e.ID
	}
	return cmp.Or(e.CloudEvent.ID, e.ID)
}

// findExisting reads the events of the execution that has this workflow id already. It
// returns a conflict unless an equal request started it, which names the event as its
// caller did.
func (r *publishRun) findExisting(ctx context.Context, workflowID, name string, in protocol.DispatchInput) ([]protocol.Publication, error) {
	described, err := r.executions.Describe(ctx, workflowID, in.Events[0].Message.ID)
	if err != nil {
		return in.Events, err
	}
	var first protocol.DispatchInput
	if err := r.executions.ReadInput(ctx, described.GetWorkflowExecutionInfo(), &first); err != nil {
		return in.Events, err
	}
	if first.Digest == in.Digest {
		return first.Events, nil
	}
	if name == "" {
		return in.Events, postdate.Errorf(postdate.Conflict, "", "this Idempotency-Key is that of a request with other events")
	}
	return in.Events, postdate.Errorf(postdate.Conflict, "", "%q exists already, from a request with another body", name)
}

// input is the input of the execution that carries the events at these indexes.
func (r *publishRun) input(ids []string, indexes []int) protocol.DispatchInput {
	events := make([]postdate.Event, len(indexes))
	in := protocol.DispatchInput{At: r.at, Events: r.publications(indexes)}
	for n, index := range indexes {
		events[n] = r.Events[index]
		in.Events[n].Message.ID = ids[n]
	}
	in.Digest = digestOf(events...)
	return in
}

// publications are the events at these indexes with their subscribers, without ids.
func (r *publishRun) publications(indexes []int) []protocol.Publication {
	publications := make([]protocol.Publication, len(indexes))
	for n, index := range indexes {
		event := r.Events[index]
		happened := r.at
		if event.Timestamp != nil {
			happened = event.Timestamp.UTC()
		}
		publications[n] = protocol.Publication{
			Message: postdate.Message{
				Tenant: r.Tenant, Entity: event.Entity, Type: event.Type, Timestamp: happened,
				Data: event.Data, TraceParent: r.TraceParent, CloudEvent: cloudEventOf(event), Tick: event.Tick,
				Inbound: event.Inbound,
			},
			Endpoints: r.endpointsOf(r.tenant, event), Terms: r.Terms,
		}
	}
	return publications
}

// endpointsOf are the ids of the endpoints that get an event.
func (b Batch) endpointsOf(tenant *postdate.Tenant, e postdate.Event) []string {
	if b.Endpoint != "" {
		return []string{b.Endpoint}
	}
	return tenant.Subscribers(e.Type)
}

// cloudEventOf is what the message of an event has of it as a CloudEvent.
func cloudEventOf(e postdate.Event) *postdate.CloudEvent {
	if e.CloudEvent == nil {
		return nil
	}
	c := *e.CloudEvent
	c.ID = cmp.Or(c.ID, e.ID)
	return &c
}

// resultOf is the result of an event that was accepted.
func resultOf(p protocol.Publication, duplicate bool) Published {
	result := Published{ID: p.Message.ID, Duplicate: duplicate, Deliveries: make([]postdate.DeliveryRef, len(p.Endpoints))}
	for n, endpoint := range p.Endpoints {
		result.Deliveries[n] = postdate.DeliveryRef{ID: postdate.DeliveryID(p.Message.ID, endpoint), Endpoint: endpoint}
	}
	return result
}
