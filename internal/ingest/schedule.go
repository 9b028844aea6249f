package ingest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Unnamed is a schedule that its caller did not name. Its message has an id, which it keeps
// if it travels alone.
type Unnamed struct {
	Input    protocol.DeliverInput
	Accepted protocol.Accepted
}

// Created is the result for one schedule.
type Created struct {
	// Delivery has the id by which the schedule is found from now on.
	Delivery postdate.Delivery
	// Err is why it was not accepted.
	Err error
}

// StartUnnamed starts the execution of a schedule that its caller did not name, which it may
// share with others of the tenant that are due within the same second.
func (i *Ingester) StartUnnamed(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) (postdate.Delivery, error) {
	created := i.StartAllUnnamed(ctx, []Unnamed{{Input: in, Accepted: accepted}})[0]
	return created.Delivery, created.Err
}

// StartAllUnnamed is [Ingester.StartUnnamed] for many schedules, in as few executions as can
// be. It returns once they are durable, with a result for each in its place.
func (i *Ingester) StartAllUnnamed(ctx context.Context, schedules []Unnamed) []Created {
	bySecond := make(map[second][]*unnamed)
	items := make([]*unnamed, len(schedules))
	for n, schedule := range schedules {
		items[n] = newUnnamed(schedule)
		if schedule.Input.Local != nil { // it wakes earlier, at a time of its own
			go i.startAlone(context.WithoutCancel(ctx), items[n])
			continue
		}
		key := second{schedule.Input.Shipment.Message.Tenant, schedule.Input.Shipment.DueAt.Unix()}
		bySecond[key] = append(bySecond[key], items[n])
	}
	for key, items := range bySecond {
		if i.schedules.add(key, items) {
			go i.flushSchedules(context.WithoutCancel(ctx), key) // it serves other callers too
		}
	}
	results := make([]Created, len(items))
	for n, item := range items {
		results[n] = <-item.created
	}
	return results
}

// unnamed is an unnamed schedule that waits to be started.
type unnamed struct {
	Unnamed

	size    int
	created chan Created // receives the result of the start
}

func newUnnamed(schedule Unnamed) *unnamed {
	text, err := json.Marshal(protocol.LeavingDelivery{Input: schedule.Input, Accepted: schedule.Accepted})
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	return &unnamed{Unnamed: schedule, size: len(text), created: make(chan Created, 1)}
}

// fittingSchedules is how many schedules, at least one, fit into one execution.
func fittingSchedules(waiting []*unnamed) int {
	var capacity protocol.ScheduleGroupCapacity
	for n, item := range waiting {
		if !capacity.Add(item.Input, item.size) {
			return n
		}
	}
	return len(waiting)
}

// flushSchedules starts one execution after another until no schedule waits that is due in
// a second.
func (i *Ingester) flushSchedules(ctx context.Context, key second) {
	for {
		items := i.schedules.nextBatch(key)
		switch len(items) {
		case 0:
			return
		case 1:
			i.startAlone(ctx, items[0])
		default:
			i.startTogether(ctx, key, items)
		}
	}
}

// startAlone starts an execution for one schedule: there is none with which it could share
// one.
func (i *Ingester) startAlone(ctx context.Context, item *unnamed) {
	delivery, err := i.Start(ctx, item.Input, item.Accepted)
	item.created <- Created{delivery, err}
}

// startTogether starts the execution that these schedules share.
func (i *Ingester) startTogether(ctx context.Context, key second, items []*unnamed) {
	made := uuid.Must(uuid.NewV7())
	in := protocol.ScheduleGroupInput{Tenant: key.tenant, ID: hex.EncodeToString(made[:])}
	for _, item := range items {
		in = in.With(item.Input, item.Accepted, 0)
	}
	execution, delay, err := i.startGroup(ctx, in)
	if errors.Is(err, executions.ErrExists) { // by this very start: no other makes this id
		execution, err = postdate.Execution{WorkflowID: protocol.ScheduleGroupID(in.Tenant, in.ID)}, nil
	}
	var tenant *postdate.Tenant
	if err == nil {
		tenant, err = i.tenants.Tenant(ctx, key.tenant)
	}
	for place, item := range items {
		if err != nil {
			item.created <- Created{Err: err}
			continue
		}
		delivery := in.DeliverInput(place).Delivery(item.Accepted, tenant)
		protocol.SetUnstarted(&delivery, delay, i.now())
		delivery.Execution = execution
		item.created <- Created{Delivery: delivery}
	}
}

// startGroup starts a ScheduleGroup, or returns [executions.ErrExists]. A burst delays it as
// it delays one delivery: what counts is what Temporal has to wake.
func (i *Ingester) startGroup(
	ctx context.Context, in protocol.ScheduleGroupInput,
) (execution postdate.Execution, delay time.Duration, err error) {
	options := protocol.ScheduleGroupOptions(in, i.now())
	isDelayed := options.StartDelay > 0
	if isDelayed {
		late, shows := i.bursts.delayGroup(ctx, in.Tenant, in.DueAt(), len(in.Entries))
		in.Late = postdate.Duration(late)
		delay = in.WakeLate()
		in.Burst = protocol.NewBurstStart(in.DueAt().Add(delay), shows)
		delayStart(&options, delay, protocol.BurstOf(in.Tenant, in.DueAt()))
	}
	run, err := i.executions.Start(ctx, options, protocol.ScheduleGroupWorkflow, in)
	if err == nil {
		return postdate.Execution{WorkflowID: run.GetID(), RunID: run.GetRunID()}, delay, nil
	}
	if isDelayed {
		i.bursts.removeGroup(in.Tenant, in.DueAt(), len(in.Entries))
	}
	return execution, delay, err
}
