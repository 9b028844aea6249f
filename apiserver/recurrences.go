package apiserver

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// createRecurring starts the execution that is a recurring schedule.
func (s *server) createRecurring(ctx context.Context, r CreateScheduleRequestObject) (CreateScheduleResponseObject, error) {
	now, tenant := s.Now().UTC(), tenantOf(ctx)
	schedule := scheduleOf(tenant, *r.Body)
	in := protocol.RecurrenceInput{
		ID:         cmp.Or(schedule.ID, newScheduleID(tenant, r.Params.IdempotencyKey)),
		Recurrence: *r.Body.Recurrence,
		Accepted:   protocol.Accepted{Digest: digest(*r.Body), To: schedule.To, At: now},
	}
	err := s.acceptRecurring(ctx, *r.Body, &schedule, now)
	if err == nil {
		in.Task = recurringTask(ctx, schedule)
		var created postdate.RecurringSchedule
		if created, err = s.startRecurring(ctx, in); err == nil {
			return CreateSchedule201JSONResponse{
				Body:    s.recurringOf(created),
				Headers: CreateSchedule201ResponseHeaders{Location: "/v1/schedules/" + in.ID},
			}, nil
		}
	}
	if !errors.Is(err, executions.ErrExists) && postdate.CodeOf(err) != postdate.Invalid && !postdate.CodeOf(err).IsRefusal() {
		return nil, err
	}
	// It may have been accepted when it first came, and be refused by now.
	before, readErr := s.Recurrences.Get(ctx, tenant, in.ID)
	switch {
	case readErr == nil && before.RequestDigest == in.Accepted.Digest:
		return CreateSchedule200JSONResponse(s.recurringOf(before)), nil
	case errors.Is(err, executions.ErrExists):
		return nil, taken(in.ID)
	}
	return nil, err
}

// startRecurring starts a recurring schedule, unless a quota refuses it: it is a message that
// is kept, as each of its ticks' deliveries is.
func (s *server) startRecurring(ctx context.Context, in protocol.RecurrenceInput) (postdate.RecurringSchedule, error) {
	release, err := s.Quotas.Admit(ctx, in.Tenant(), 1, int64(len(in.Task.Shipment.Message.Data)))
	if err != nil {
		return postdate.RecurringSchedule{}, err
	}
	created, err := s.Recurrences.Create(ctx, in)
	if err != nil {
		release()
	}
	return created, err
}

// taken refuses an id that another schedule has.
func taken(id string) error {
	return postdate.Errorf(postdate.Conflict, "", "%q exists already, from a request with another body", id)
}

// acceptRecurring refuses what could never be due, or sent.
func (s *server) acceptRecurring(ctx context.Context, body CreateSchedule, schedule *postdate.Schedule, now time.Time) error {
	for _, once := range []struct {
		pointer string
		given   bool
	}{
		{"/due_at", body.DueAt != nil}, {"/due_at_local", body.DueAtLocal != ""}, {"/delay", body.Delay != nil},
	} {
		if once.given {
			return postdate.Errorf(postdate.Invalid, once.pointer, "recurrence says when it is due: give one of them")
		}
	}
	for _, elsewhere := range []struct {
		pointer, instead string
		given            bool
	}{
		{"/time_zone", "recurrence.time_zone", body.TimeZone != ""},
		{"/dst", "recurrence.dst", body.Dst != nil},
		{"/spread", "recurrence.spread", body.Spread != nil},
		{"/expires_at", "recurrence.end_at", body.ExpiresAt != nil},
	} {
		if elsewhere.given {
			return postdate.Errorf(postdate.Invalid, elsewhere.pointer, "of a recurring schedule, give %s", elsewhere.instead)
		}
	}
	if err := s.acceptSchedule(ctx, schedule, now); err != nil {
		return err
	}
	return s.Recurrences.Validate(ctx, tenantOf(ctx), body.Recurrence.Starting(now))
}

// recurringTask is what each tick's delivery is started with.
func recurringTask(ctx context.Context, schedule postdate.Schedule) protocol.DeliverInput {
	task := deliverInput(ctx, schedule, time.Time{})
	task.Shipment.Message.ID, task.Shipment.Message.Timestamp, task.Shipment.DueAt = "", time.Time{}, time.Time{}
	return task
}

// recurringOf is a recurring schedule as the API shows it.
func (s *server) recurringOf(r postdate.RecurringSchedule) Delivery {
	shown := Delivery{
		ID:         r.ID,
		State:      r.State,
		Reason:     r.Reason,
		Entity:     r.Message.Entity,
		Type:       r.Message.Type,
		Data:       r.Message.Data,
		To:         r.To,
		DueAt:      r.CreatedAt,
		CreatedAt:  r.CreatedAt,
		EndedAt:    r.EndedAt,
		Timeout:    cmp.Or(r.Timeout, postdate.Duration(postdate.DefaultTimeout)),
		Retry:      r.Retry,
		Attempts:   []Attempt{},
		Recurrence: &r.Recurrence,
		Pause:      r.Pause,
		Ticks:      &Ticks{Passed: r.Passed, Next: []Tick{}, Last: []PassedTick{}},
		Link:       s.link(r.Execution),
	}
	shown.Ticks.Next = append(shown.Ticks.Next, r.Next...)
	shown.Ticks.Last = append(shown.Ticks.Last, r.Last...)
	switch {
	case len(r.Next) > 0:
		shown.DueAt = r.Next[0].DueAt
		shown.NextAttemptAt = r.Next[0].DueAt.Add(r.Recurrence.Delay(r.Message.Tenant, r.ID))
	case len(r.Last) > 0:
		shown.DueAt = r.Last[0].DueAt
	}
	return shown
}

// recurring reads the tenant's recurring schedule.
func (s *server) recurring(ctx context.Context, id string) (Delivery, error) {
	found, err := s.Recurrences.Get(ctx, tenantOf(ctx), id)
	if err != nil {
		return Delivery{}, err
	}
	return s.recurringOf(found), nil
}

// PreviewSchedule answers when a recurrence would be due.
func (s *server) PreviewSchedule(ctx context.Context, r PreviewScheduleRequestObject) (PreviewScheduleResponseObject, error) {
	from := s.Now()
	if r.Body.From != nil {
		from = *r.Body.From
	}
	ticks, err := s.Recurrences.Preview(ctx, tenantOf(ctx), r.Body.Recurrence, from.UTC(), cmp.Or(r.Body.Count, postdate.ShownTicks))
	if err != nil {
		return nil, err
	}
	return PreviewSchedule200JSONResponse{Ticks: ticks}, nil
}

// PauseSchedule lets ticks pass without a delivery.
func (s *server) PauseSchedule(ctx context.Context, r PauseScheduleRequestObject) (PauseScheduleResponseObject, error) {
	var pause postdate.Pause
	if r.Body != nil {
		pause.Note = r.Body.Note
		if until := r.Body.Until; until != nil && until.IsZero() { // which is never, in a pause
			return nil, postdate.Errorf(postdate.Invalid, "/until", "has passed")
		} else if until != nil {
			pause.Until = until.UTC()
		}
	}
	if err := s.recurringOnly(ctx, r.ID, s.Recurrences.Pause(ctx, tenantOf(ctx), r.ID, pause)); err != nil {
		return nil, err
	}
	shown, err := s.recurring(ctx, r.ID)
	return PauseSchedule200JSONResponse(shown), err
}

// ResumeSchedule ends a pause.
func (s *server) ResumeSchedule(ctx context.Context, r ResumeScheduleRequestObject) (ResumeScheduleResponseObject, error) {
	if err := s.recurringOnly(ctx, r.ID, s.Recurrences.Resume(ctx, tenantOf(ctx), r.ID)); err != nil {
		return nil, err
	}
	shown, err := s.recurring(ctx, r.ID)
	return ResumeSchedule200JSONResponse(shown), err
}

// SkipTick leaves the next tick out.
func (s *server) SkipTick(ctx context.Context, r SkipTickRequestObject) (SkipTickResponseObject, error) {
	if err := s.recurringOnly(ctx, r.ID, s.Recurrences.Skip(ctx, tenantOf(ctx), r.ID)); err != nil {
		return nil, err
	}
	shown, err := s.recurring(ctx, r.ID)
	return SkipTick200JSONResponse(shown), err
}

// BackfillSchedule sends the ticks of a range that have no delivery.
func (s *server) BackfillSchedule(ctx context.Context, r BackfillScheduleRequestObject) (BackfillScheduleResponseObject, error) {
	done, err := s.Recurrences.BackfillRange(ctx, tenantOf(ctx), r.ID, protocol.Backfill{From: r.Body.From.UTC(), To: r.Body.To.UTC()})
	if err := s.recurringOnly(ctx, r.ID, err); err != nil {
		return nil, err
	}
	return BackfillSchedule200JSONResponse{Started: done.Started, Found: done.Found}, nil
}

// recurringOnly is err, or says that a schedule which is due once cannot do that.
func (s *server) recurringOnly(ctx context.Context, id string, err error) error {
	if postdate.CodeOf(err) != postdate.NotFound {
		return err
	}
	if _, once := s.Deliveries.Get(ctx, tenantOf(ctx), id); once == nil {
		return postdate.Errorf(postdate.Conflict, "", "it is due once: only a recurring schedule can do that")
	}
	return err
}

// changeRecurring changes a recurring schedule.
func (s *server) changeRecurring(ctx context.Context, id string, body ChangeSchedule) (Delivery, error) {
	patch := protocol.PatchRecurrence{Recurrence: body.Recurrence, Data: compact(body.Data), To: body.To, Timeout: body.Timeout}
	if body.Type != "" {
		patch.Type = &body.Type
	}
	if body.Entity != "" {
		patch.Entity = &body.Entity
	}
	if body.Retry != nil {
		retry := postdate.RetryOrDefault(body.Retry)
		patch.Retry = &retry
	}
	if err := s.acceptPatch(ctx, id, body); err != nil {
		return Delivery{}, err
	}
	if err := s.Recurrences.Patch(ctx, tenantOf(ctx), id, patch); err != nil {
		return Delivery{}, err
	}
	return s.recurring(ctx, id)
}

// fireRecurring sends an extra message of a recurring schedule.
func (s *server) fireRecurring(ctx context.Context, id string) (FireScheduleResponseObject, error) {
	if _, err := s.Recurrences.FireNow(ctx, tenantOf(ctx), id); err != nil {
		return nil, err
	}
	recurring, err := s.recurring(ctx, id)
	return FireSchedule200JSONResponse(recurring), err
}

// acceptPatch refuses a change to what could never be sent.
func (s *server) acceptPatch(ctx context.Context, id string, body ChangeSchedule) error {
	before, err := s.Recurrences.Get(ctx, tenantOf(ctx), id)
	if err != nil {
		return err
	}
	if body.DueAt != nil {
		return postdate.Errorf(postdate.Invalid, "/due_at", "recurrence says when a recurring schedule is due")
	}
	after := postdate.Schedule{
		Entity: cmp.Or(body.Entity, before.Message.Entity), Type: cmp.Or(body.Type, before.Message.Type),
		To: before.To, Retry: body.Retry, Timeout: body.Timeout,
	}
	if body.To != nil {
		after.To = *body.To
	}
	return s.acceptSchedule(ctx, &after, s.Now())
}

// onlyRecurring reports whether a change is one that only a recurring schedule takes.
func onlyRecurring(body ChangeSchedule) bool {
	return body.Recurrence != nil || body.Type != "" || body.Entity != "" || body.To != nil || body.Retry != nil || body.Timeout != nil
}
