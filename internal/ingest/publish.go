package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	results, err := i.PublishBatch(ctx, Batch{Tenant: tenant, Events: []postdate.Event{e}, TraceParent: traceParent})
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
	r := &publishRun{Ingester: i, Batch: b, at: i.now().UTC(), tenant: tenant, results: make([]Published, len(b.Events))}
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
// that have no id, and all that have the same id.
func (r *publishRun) byExecution() [][]int {
	var groups [][]int
	first := make(map[string]int)
	for index, event := range r.Events {
		if at, ok := first[event.ID]; ok {
			groups[at] = append(groups[at], index)
			continue
		}
		first[event.ID] = len(groups)
		groups = append(groups, []int{index})
	}
	return groups
}

// publish publishes the events at these indexes: all that have no id, or those of one id,
// one after another, of which the first counts.
func (r *publishRun) publish(ctx context.Context, indexes []int) {
	if id := r.Events[indexes[0]].ID; id != "" {
		for _, index := range indexes {
			r.start(ctx, protocol.EventID(r.Tenant, id), []string{id}, []int{index})
		}
		return
	}
	if r.Key == "" {
		r.publishUnnamed(ctx, indexes)
		return
	}
	group := keyedGroup(r.Tenant, r.Key)
	ids := make([]string, len(indexes))
	for place := range ids {
		ids[place] = postdate.GroupedID(group, place)
	}
	r.start(ctx, protocol.GroupID(r.Tenant, group), ids, indexes)
}

// keyedGroup is the id of the group of a tenant's idempotency key.
func keyedGroup(tenant, key string) string {
	sum := sha256.Sum256([]byte(tenant + "\n" + key))
	return hex.EncodeToString(sum[:16])
}

// publishUnnamed publishes the events at these indexes in executions that may carry
// events of other requests too.
func (r *publishRun) publishUnnamed(ctx context.Context, indexes []int) {
	items := make([]*item, len(indexes))
	for n, publication := range r.publications(indexes) {
		items[n] = newItem(publication, r.at)
	}
	r.batch(ctx, r.Tenant, items)
	for n, index := range indexes {
		err := <-items[n].started
		r.setResults([]int{index}, []protocol.Publication{items[n].event}, false, err)
	}
}

// start starts the execution that carries the events at these indexes under these ids,
// or finds the one that an earlier request started.
func (r *publishRun) start(ctx context.Context, workflowID string, ids []string, indexes []int) {
	in := r.input(ids, indexes)
	duplicate := false
	err := errTooMany
	if deliveriesOf(in.Events) <= maxDeliveries {
		_, err = r.executions.Start(ctx, protocol.DispatchOptions(workflowID, in), protocol.DispatchWorkflow, in)
	}
	if errors.Is(err, executions.ErrExists) {
		duplicate = true
		in.Events, err = r.findExisting(ctx, workflowID, in)
	}
	r.setResults(indexes, in.Events, duplicate, err)
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

// findExisting reads the events of the execution that has this id already. It returns a
// conflict unless an equal request started it.
func (r *publishRun) findExisting(ctx context.Context, workflowID string, in protocol.DispatchInput) ([]protocol.Publication, error) {
	id := in.Events[0].Message.ID
	described, err := r.executions.Describe(ctx, workflowID, id)
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
	if _, _, grouped := postdate.SplitGroupedID(id); grouped {
		return in.Events, postdate.Errorf(postdate.Conflict, "", "this Idempotency-Key is that of a request with other events")
	}
	return in.Events, postdate.Errorf(postdate.Conflict, "", "%q exists already, from a request with another body", id)
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
		if event.Timestamp.IsZero() {
			event.Timestamp = r.at
		}
		publications[n] = protocol.Publication{
			Message: postdate.Message{
				Tenant: r.Tenant, Entity: event.Entity, Type: event.Type, Timestamp: event.Timestamp.UTC(),
				Data: event.Data, TraceParent: r.TraceParent, CloudEvent: event.CloudEvent, Tick: event.Tick,
			},
			Endpoints: r.tenant.Subscribers(event.Type),
		}
	}
	return publications
}

// resultOf is the result of an event that was accepted.
func resultOf(p protocol.Publication, duplicate bool) Published {
	result := Published{ID: p.Message.ID, Duplicate: duplicate, Deliveries: make([]postdate.DeliveryRef, len(p.Endpoints))}
	for n, endpoint := range p.Endpoints {
		result.Deliveries[n] = postdate.DeliveryRef{ID: postdate.DeliveryID(p.Message.ID, endpoint), Endpoint: endpoint}
	}
	return result
}
