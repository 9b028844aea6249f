package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Arrival is what a record of a stream holds: an event or a schedule, which is valid.
type Arrival struct {
	Tenant string
	// Position is the record's in its stream.
	Position int64
	// Event is what is to be published. Its sender has named it where it has an id.
	Event       *postdate.Event
	TraceParent string
	// Schedule is what is to be sent later, where Event is nil. Named: its sender has named
	// it. Else its id follows from where the record was read.
	Schedule Unnamed
	Named    bool
}

// AdmitArrivals adds what records hold to what their tenants keep. It is refused where a
// quota refuses a part of it, or where too much waits already.
func (i *Ingester) AdmitArrivals(ctx context.Context, arrivals []Arrival) (release func(), err error) {
	type amount struct{ messages, bytes int64 }
	amounts, releases := make(map[string]*amount), []func(){}
	release = func() {
		for _, each := range releases {
			each()
		}
	}
	for _, arrival := range arrivals {
		due, messages, data := i.now(), 1, len(arrival.Schedule.Input.Shipment.Message.Data)
		if arrival.Event == nil {
			due = arrival.Schedule.Input.Shipment.DueAt
		} else {
			tenant, err := i.tenants.Tenant(ctx, arrival.Tenant)
			if err != nil {
				return nil, err
			}
			messages, data = max(1, len(tenant.Subscribers(arrival.Event.Type))), len(arrival.Event.Data)
		}
		if err := i.backlog(due); err != nil {
			return nil, err
		}
		if amounts[arrival.Tenant] == nil {
			amounts[arrival.Tenant] = new(amount)
		}
		amounts[arrival.Tenant].messages += int64(messages)
		amounts[arrival.Tenant].bytes += int64(data + executionBytes)
	}
	for tenant, wanted := range amounts {
		back, err := i.quotas.Admit(ctx, tenant, wanted.messages, wanted.bytes)
		if err != nil {
			release()
			return nil, err
		}
		releases = append(releases, back)
	}
	return release, nil
}

// PlanIntake is what an Intake of that workflow id starts for these arrivals. All that it
// decides is recorded with the Intake: what is started again later is the same.
func (i *Ingester) PlanIntake(ctx context.Context, stream, workflowID string, arrivals []Arrival) (protocol.IntakeInput, error) {
	p := &intakePlan{in: protocol.IntakeInput{Stream: stream}, workflowID: workflowID, at: i.now().UTC()}
	events, seconds := make(map[string][]*item), make(map[second][]*unnamed)
	for _, arrival := range arrivals {
		p.in.Positions = append(p.in.Positions, arrival.Position)
		switch {
		case arrival.Event != nil:
			tenant, err := i.tenants.Tenant(ctx, arrival.Tenant)
			if err != nil {
				return p.in, err
			}
			run := publishRun{
				Ingester: i, at: p.at, tenant: tenant,
				Batch: Batch{Tenant: arrival.Tenant, Events: []postdate.Event{*arrival.Event}, TraceParent: arrival.TraceParent},
			}
			if arrival.Event.ID != "" {
				p.addNamed(&run, arrival.Position)
				continue
			}
			events[arrival.Tenant] = append(events[arrival.Tenant], newItem(run.publications([]int{0})[0], p.at))
		case arrival.Named || arrival.Schedule.Input.Local != nil:
			p.addAlone(arrival.Schedule, arrival.Named, arrival.Position)
		default:
			key := second{arrival.Tenant, arrival.Schedule.Input.Shipment.DueAt.Unix()}
			seconds[key] = append(seconds[key], newUnnamed(arrival.Schedule))
		}
	}
	for tenant, items := range events {
		p.addUnnamed(tenant, items)
	}
	for key, items := range seconds {
		p.addGroups(key.tenant, items)
	}
	return p.in, nil
}

// intakePlan fills the input of an Intake.
type intakePlan struct {
	in         protocol.IntakeInput
	workflowID string
	at         time.Time
	made       int // how many ids were made
}

// newID is an id that follows from the Intake's and from the order of what it starts.
func (p *intakePlan) newID() string {
	p.made++
	sum := sha256.Sum256([]byte("intake\n" + p.workflowID + "\n" + strconv.Itoa(p.made)))
	return hex.EncodeToString(sum[:16])
}

// addNamed adds the one event of a run, which its sender has named.
func (p *intakePlan) addNamed(run *publishRun, position int64) {
	event := run.Events[0]
	workflowID, id := identityOf(run.Tenant, event)
	p.in.Dispatches = append(p.in.Dispatches, protocol.IntakeDispatch{
		WorkflowID: workflowID, Input: run.input([]string{id}, []int{0}), Named: nameOf(event), Position: position,
	})
}

// addUnnamed adds events of a tenant that share executions.
func (p *intakePlan) addUnnamed(tenant string, items []*item) {
	for len(items) > 0 {
		n, group := fitting(items), p.newID()
		in := protocol.DispatchInput{Digest: Digest(group), At: p.at}
		for place, item := range items[:n] {
			item.event.Message.ID = postdate.GroupedID(group, place)
			in.Events = append(in.Events, item.event)
		}
		p.in.Dispatches = append(p.in.Dispatches, protocol.IntakeDispatch{WorkflowID: protocol.GroupID(tenant, group), Input: in})
		items = items[n:]
	}
}

// addGroups adds schedules of a tenant that are due within the same second.
func (p *intakePlan) addGroups(tenant string, items []*unnamed) {
	for len(items) > 0 {
		n := fittingSchedules(items)
		if n == 1 {
			p.addAlone(items[0].Unnamed, false, 0)
		} else {
			in := protocol.ScheduleGroupInput{Tenant: tenant, ID: p.newID()}
			for _, item := range items[:n] {
				in = in.With(item.Input, item.Accepted, 0)
			}
			p.in.Groups = append(p.in.Groups, in)
		}
		items = items[n:]
	}
}

// addAlone adds a schedule that has an execution of its own.
func (p *intakePlan) addAlone(schedule Unnamed, named bool, position int64) {
	if !named {
		schedule.Input.Shipment.Message.ID = "sch_" + p.newID()
	}
	p.in.Schedules = append(p.in.Schedules, protocol.IntakeSchedule{
		LeavingDelivery: protocol.LeavingDelivery{Input: schedule.Input, Accepted: schedule.Accepted}, Named: named, Position: position,
	})
}

// StartIntake starts what an Intake carries. It can be repeated: what was started before is
// found, and what another message has the name of is refused.
func (i *Ingester) StartIntake(ctx context.Context, in protocol.IntakeInput) (protocol.IntakeResult, error) {
	var starting errgroup.Group
	starting.SetLimit(maxParallel)
	conflicts := make([]*protocol.IntakeConflict, len(in.Dispatches)+len(in.Schedules))
	for n, dispatch := range in.Dispatches {
		starting.Go(func() error {
			err := i.startIntakeDispatch(ctx, dispatch)
			return conflictOf(err, dispatch.Position, &conflicts[n])
		})
	}
	for n, schedule := range in.Schedules {
		starting.Go(func() error {
			err := i.startIntakeSchedule(ctx, schedule)
			return conflictOf(err, schedule.Position, &conflicts[len(in.Dispatches)+n])
		})
	}
	for _, group := range in.Groups {
		starting.Go(func() error {
			_, _, err := i.startGroup(ctx, group)
			if errors.Is(err, executions.ErrExists) { // by a repetition of this
				return nil
			}
			return err
		})
	}
	if err := starting.Wait(); err != nil {
		return protocol.IntakeResult{}, err
	}
	var result protocol.IntakeResult
	for _, conflict := range conflicts {
		if conflict != nil {
			result.Conflicts = append(result.Conflicts, *conflict)
		}
	}
	return result, nil
}

// conflictOf sets a conflict if err is one, and returns every other error.
func conflictOf(err error, position int64, conflict **protocol.IntakeConflict) error {
	if postdate.CodeOf(err) != postdate.Conflict {
		return err
	}
	*conflict = &protocol.IntakeConflict{Position: position, Reason: err.Error()}
	return nil
}

// startIntakeDispatch starts a Dispatch, or finds the one that was started before.
func (i *Ingester) startIntakeDispatch(ctx context.Context, dispatch protocol.IntakeDispatch) error {
	err := i.startDispatch(ctx, dispatch.WorkflowID, dispatch.Input)
	switch {
	case !errors.Is(err, executions.ErrExists):
		return err
	case dispatch.Named == "":
		return nil // by an earlier attempt: no other makes this id
	}
	run := publishRun{Ingester: i}
	_, err = run.findExisting(ctx, dispatch.WorkflowID, dispatch.Named, dispatch.Input)
	if postdate.CodeOf(err) == postdate.NotFound {
		return nil // it is removed by now, a retention after it ended
	}
	return err
}

// startIntakeSchedule starts a Deliver, or finds the one that was started before.
func (i *Ingester) startIntakeSchedule(ctx context.Context, schedule protocol.IntakeSchedule) error {
	message := schedule.Input.Shipment.Message
	if schedule.Named {
		recurs, err := i.executions.Exists(ctx, protocol.RecurrenceID(message.Tenant, message.ID))
		if err != nil {
			return err
		}
		if recurs {
			return errTaken(message.ID)
		}
	}
	_, err := i.Start(ctx, schedule.Input, schedule.Accepted)
	if !errors.Is(err, executions.ErrExists) || !schedule.Named {
		if errors.Is(err, executions.ErrExists) {
			return nil
		}
		return err
	}
	described, err := i.executions.Describe(ctx, protocol.ScheduleID(message.Tenant, message.ID), message.ID)
	if postdate.CodeOf(err) == postdate.NotFound {
		return nil
	}
	var first protocol.Accepted
	if err == nil {
		err = i.executions.ReadMemo(described.GetWorkflowExecutionInfo(), protocol.MemoAccepted, &first)
	}
	if err == nil && first.Digest != schedule.Accepted.Digest {
		err = errTaken(message.ID)
	}
	return err
}

func errTaken(id string) error {
	return postdate.Errorf(postdate.Conflict, "/id", "%q exists already, from a request with another body", id)
}
