package recurrences

import (
	"context"
	"errors"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Create starts a recurring schedule, which is valid. Where its id is taken it returns
// [executions.ErrExists].
func (s *Store) Create(ctx context.Context, in protocol.RecurrenceInput) (postdate.RecurringSchedule, error) {
	taken, err := s.config.Executions.Exists(ctx, protocol.ScheduleID(in.Tenant(), in.ID))
	switch {
	case err != nil:
		return postdate.RecurringSchedule{}, err
	case taken:
		return postdate.RecurringSchedule{}, executions.ErrExists
	}
	now := s.config.Now().UTC()
	in.Recurrence = in.Recurrence.Starting(now)
	rule, err := s.rule(ctx, in.Tenant(), in.Recurrence)
	if err != nil {
		return postdate.RecurringSchedule{}, err
	}
	in.Passed = protocol.PassedTick{DueAt: now.Add(-1)} // a tick that is due now is the first
	first, ok := rule.Next(in.Passed.Tick())
	if !ok {
		return postdate.RecurringSchedule{}, postdate.Errorf(postdate.Invalid, "/recurrence/end_at", "the last tick has passed")
	}
	in.WakeAt = schedule{in}.wakeAt(first, now)
	run, err := s.config.Executions.Start(ctx, protocol.RecurrenceOptions(in, now), protocol.RecurrenceWorkflow, in)
	if err != nil {
		return postdate.RecurringSchedule{}, err
	}
	created := &record{input: in, info: &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}}
	schedule, err := s.describe(ctx, created)
	schedule.Execution = postdate.Execution{WorkflowID: run.GetID(), RunID: run.GetRunID()}
	return schedule, err
}

// Exists reports whether a tenant has or had a recurring schedule of that id.
func (s *Store) Exists(ctx context.Context, tenant, id string) (bool, error) {
	return s.config.Executions.Exists(ctx, protocol.RecurrenceID(tenant, id))
}

// Get returns a recurring schedule as it is now, with its next ticks and its last ones.
func (s *Store) Get(ctx context.Context, tenant, id string) (postdate.RecurringSchedule, error) {
	if err := validateID(id); err != nil {
		return postdate.RecurringSchedule{}, err
	}
	read, err := s.read(ctx, tenant, id)
	if err != nil {
		return postdate.RecurringSchedule{}, err
	}
	return s.describe(ctx, read)
}

// validateID refuses what is no id of a recurring schedule: that of a tick stands for a
// delivery.
func validateID(id string) error {
	if _, ofTick := postdate.SplitTickID(id); ofTick {
		return executions.Unknown(id)
	}
	return postdate.ValidateID("/id", id)
}

// record is what Temporal has of a recurrence.
type record struct {
	input  protocol.RecurrenceInput
	reason string // how it ended
	info   *workflowpb.WorkflowExecutionInfo
}

// read reads a recurrence: what its run was started with, or, of one that has ended, its
// result.
func (s *Store) read(ctx context.Context, tenant, id string) (*record, error) {
	read, err := s.readOnce(ctx, tenant, id)
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		// It continued as new in between, and the run that was read is deleted.
		return s.readOnce(ctx, tenant, id)
	}
	return read, err
}

func (s *Store) readOnce(ctx context.Context, tenant, id string) (*record, error) {
	described, err := s.config.Executions.Describe(ctx, protocol.RecurrenceID(tenant, id), id)
	if err != nil {
		return nil, err
	}
	read := &record{info: described.GetWorkflowExecutionInfo()}
	if err := s.config.Executions.ReadInput(ctx, read.info, &read.input); err != nil {
		return nil, err
	}
	if executions.IsRunning(read.info) {
		return read, nil
	}
	end, err := s.config.Executions.LastEvent(ctx, read.info.GetExecution())
	if err != nil {
		return nil, err
	}
	payloads := end.GetWorkflowExecutionCompletedEventAttributes().GetResult()
	if payloads == nil {
		payloads = end.GetWorkflowExecutionCanceledEventAttributes().GetDetails()
	}
	if payloads == nil {
		read.reason = "terminated by the operator, in Temporal"
		return read, nil
	}
	var result protocol.RecurrenceResult
	if err := s.config.Executions.Decode(payloads, &result); err != nil {
		return nil, err
	}
	read.input, read.reason = result.Recurrence, result.Reason
	return read, nil
}

// state is where the recurrence stands.
func (r *record) state() postdate.State {
	switch r.info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		if r.input.Pause != nil {
			return postdate.RecurrencePaused
		}
		return postdate.Scheduled
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return postdate.RecurrenceEnded
	default:
		return postdate.Cancelled
	}
}

// describe is the noun that read describes.
func (s *Store) describe(ctx context.Context, read *record) (postdate.RecurringSchedule, error) {
	in := read.input
	if in.IsAhead(s.config.Now()) {
		in.Withdraw() // it has not passed yet
	}
	schedule := postdate.RecurringSchedule{
		ID: in.ID, Message: in.Task.Shipment.Message, To: in.Task.Shipment.To, Timeout: in.Task.Shipment.Timeout, Retry: in.Task.Retry,
		Recurrence: in.Recurrence, State: read.state(), Reason: read.reason, Passed: in.Passed.Number, Pause: in.Pause,
		CreatedAt: in.Accepted.At, RequestDigest: in.Accepted.Digest,
		Execution: postdate.Execution{WorkflowID: read.info.GetExecution().GetWorkflowId(), RunID: read.info.GetExecution().GetRunId()},
	}
	if end := read.info.GetCloseTime(); end != nil {
		schedule.EndedAt = end.AsTime()
	}
	if schedule.State == postdate.RecurrencePaused {
		schedule.Reason = in.Pause.Note
	}
	schedule.Last = slices.Clone(in.Recent)
	slices.Reverse(schedule.Last)
	if executions.IsRunning(read.info) {
		schedule.Next = s.next(ctx, in)
	}
	return schedule, s.readStates(ctx, in.Tenant(), schedule.Last)
}

// next are the next ticks, by the law and the calendars of now: none where they cannot be
// worked out, for which the recurrence pauses when it is due.
func (s *Store) next(ctx context.Context, in protocol.RecurrenceInput) []postdate.Tick {
	rule, err := s.rule(ctx, in.Tenant(), in.Recurrence)
	if err != nil {
		return nil
	}
	ticks, skip, seen := []postdate.Tick{}, in.Skip, 0
	for tick := range rule.Ticks(in.Passed.Tick()) {
		seen++
		switch p := in.Pause; {
		case len(ticks) == postdate.ShownTicks, seen > maxPassed, p != nil && p.Until.IsZero():
			return ticks
		case p != nil && tick.DueAt.Before(p.Until), tick.DueAt.Before(in.ResumedAt):
		case skip > 0:
			skip--
		default:
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// maxParallel is how many deliveries are read side by side.
const maxParallel = 5

// readStates reads where the deliveries of ticks stand.
func (s *Store) readStates(ctx context.Context, tenant string, ticks []postdate.TickRecord) error {
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(maxParallel)
	for i := range ticks {
		tick := &ticks[i]
		if tick.DeliveryID == "" {
			continue
		}
		reading.Go(func() error {
			delivery, err := s.config.Deliveries.Get(ctx, tenant, tick.DeliveryID)
			if postdate.CodeOf(err) == postdate.NotFound {
				return nil // it ended long ago
			}
			tick.State = delivery.State
			return err
		})
	}
	return reading.Wait()
}
