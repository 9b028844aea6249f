package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/signature"
)

// CreateSchedule starts the execution that carries the message.
func (s *server) CreateSchedule(ctx context.Context, r CreateScheduleRequestObject) (CreateScheduleResponseObject, error) {
	if r.Body.Recurrence = inUTC(r.Body.Recurrence); r.Body.Recurrence != nil {
		return s.createRecurring(ctx, r)
	}
	named := r.Body.ID != "" || r.Params.IdempotencyKey != ""
	schedule, err := s.scheduleInput(ctx, *r.Body, r.Params.IdempotencyKey, s.Now().UTC())
	in, accepted, id := schedule.Input, schedule.Accepted, schedule.Input.Shipment.Message.ID
	if err != nil {
		if named && postdate.CodeOf(err) == postdate.Invalid {
			// It may have been accepted when it first came, and have expired since,
			// or its endpoint may be gone.
			if before, unknown := s.repeated(ctx, id, accepted.Digest); unknown == nil {
				return before, nil
			}
		}
		return nil, err
	}
	if named {
		if err := s.refuseRecurring(ctx, id); err != nil {
			return nil, err
		}
	}
	accept := s.Ingester.Accept
	if !named {
		accept = s.Ingester.AcceptUnnamed
	}
	created, err := accept(ctx, in, accepted)
	switch {
	case errors.Is(err, executions.ErrExists):
		return s.repeated(ctx, id, accepted.Digest)
	case err != nil && named && postdate.CodeOf(err).IsRefusal():
		// What was accepted before is answered, whatever the tenant may have besides.
		if before, unknown := s.repeated(ctx, id, accepted.Digest); postdate.CodeOf(unknown) != postdate.NotFound {
			return before, unknown
		}
		return nil, err
	case err != nil:
		return nil, err
	}
	return CreateSchedule201JSONResponse{
		Body:    s.deliveryOf(created),
		Headers: CreateSchedule201ResponseHeaders{Location: "/v1/schedules/" + created.ID},
	}, nil
}

// scheduleInput is what is started for a schedule that comes at now, whose id follows from a
// key where it has none. Of one that is refused it has the id, and the request as it was
// accepted if it was before.
func (s *server) scheduleInput(ctx context.Context, body CreateSchedule, key string, now time.Time) (prepared ingest.Unnamed, err error) {
	schedule := scheduleOf(tenantOf(ctx), body)
	prepared.Accepted = protocol.Accepted{Digest: digest(body), To: schedule.To, At: now}
	if schedule.ID == "" {
		schedule.ID = newScheduleID(tenantOf(ctx), key)
	}
	prepared.Input.Shipment.Message.ID = schedule.ID
	local, err := localDue(body, &schedule)
	if err == nil {
		err = s.acceptSchedule(ctx, &schedule, now)
	}
	if err != nil {
		return prepared, err
	}
	prepared.Input = deliverInput(ctx, schedule, now)
	prepared.Input.Local = local
	return prepared, nil
}

// refuseRecurring refuses an id that a recurring schedule has.
func (s *server) refuseRecurring(ctx context.Context, id string) error {
	recurs, err := s.Recurrences.Exists(ctx, tenantOf(ctx), id)
	if err == nil && recurs {
		err = taken(id)
	}
	return err
}

// repeated answers a request whose id is taken: by an earlier one like it, or by another.
func (s *server) repeated(ctx context.Context, id, digest string) (CreateScheduleResponseObject, error) {
	found, err := s.schedule(ctx, id)
	if err != nil {
		return nil, err
	}
	if found.RequestDigest != digest {
		return nil, taken(id)
	}
	return CreateSchedule200JSONResponse(s.deliveryOf(found)), nil
}

// schedule reads the tenant's schedule. The delivery of an event is none.
func (s *server) schedule(ctx context.Context, id string) (postdate.Delivery, error) {
	if err := postdate.ValidateScheduleID("/id", id); err != nil {
		return postdate.Delivery{}, err
	}
	return s.Deliveries.Get(ctx, tenantOf(ctx), id)
}

// update requests an Update of the tenant's schedule. It returns the schedule after it, and
// whether the Update is done: it is not where an attempt is under way for long.
func (s *server) update(ctx context.Context, id, name string, args ...any) (updated postdate.Delivery, done bool, err error) {
	if err := postdate.ValidateScheduleID("/id", id); err != nil {
		return updated, false, err
	}
	if done, err = s.Deliveries.RequestUpdate(ctx, tenantOf(ctx), id, name, args...); err != nil {
		return updated, false, err
	}
	updated, err = s.schedule(ctx, id)
	return updated, done, err
}

// GetSchedule shows the schedule as the delivery it is.
func (s *server) GetSchedule(ctx context.Context, r GetScheduleRequestObject) (GetScheduleResponseObject, error) {
	found, err := s.schedule(ctx, r.ID)
	if postdate.CodeOf(err) == postdate.NotFound {
		recurring, err := s.recurring(ctx, r.ID)
		return GetSchedule200JSONResponse(recurring), err
	}
	if err != nil {
		return nil, err
	}
	return GetSchedule200JSONResponse(s.deliveryOf(found)), nil
}

// ChangeSchedule changes when it is due, or what is sent.
func (s *server) ChangeSchedule(ctx context.Context, r ChangeScheduleRequestObject) (ChangeScheduleResponseObject, error) {
	if r.Body.Recurrence = inUTC(r.Body.Recurrence); onlyRecurring(*r.Body) {
		changed, err := s.changeRecurring(ctx, r.ID, *r.Body)
		return ChangeSchedule200JSONResponse(changed), s.recurringOnly(ctx, r.ID, err)
	}
	now := s.Now().UTC()
	change := postdate.Change{DueAt: utc(r.Body.DueAt), Data: compact(r.Body.Data)}
	if change.DueAt != nil && change.DueAt.Before(now) {
		change.DueAt = &now // as on creation
	}
	// An Update wakes the delivery: a change that is refused anyway must not.
	if err := change.Validate(now, time.Time{}); err != nil {
		return nil, err
	}
	changed, done, err := s.update(ctx, r.ID, protocol.UpdateReschedule, change)
	switch {
	case postdate.CodeOf(err) == postdate.NotFound:
		recurring, err := s.changeRecurring(ctx, r.ID, *r.Body)
		return ChangeSchedule200JSONResponse(recurring), err
	case err != nil:
		return nil, err
	case !done:
		return ChangeSchedule202JSONResponse(s.deliveryOf(changed)), nil
	}
	return ChangeSchedule200JSONResponse(s.deliveryOf(changed)), nil
}

// CancelSchedule cancels it, unless it ends otherwise first.
func (s *server) CancelSchedule(ctx context.Context, r CancelScheduleRequestObject) (CancelScheduleResponseObject, error) {
	if err := postdate.ValidateScheduleID("/id", r.ID); err != nil {
		return nil, err
	}
	done, err := s.Deliveries.RequestCancel(ctx, tenantOf(ctx), r.ID)
	if postdate.CodeOf(err) == postdate.NotFound {
		done, err = true, s.Recurrences.Cancel(ctx, tenantOf(ctx), r.ID)
	}
	switch {
	case err != nil:
		return nil, err
	case !done:
		return CancelSchedule202JSONResponse{State: postdate.Sending}, nil
	}
	return CancelSchedule200JSONResponse{State: postdate.Cancelled}, nil
}

// FireSchedule has it sent now.
func (s *server) FireSchedule(ctx context.Context, r FireScheduleRequestObject) (FireScheduleResponseObject, error) {
	fired, done, err := s.update(ctx, r.ID, protocol.UpdateFire)
	if postdate.CodeOf(err) == postdate.NotFound {
		return s.fireRecurring(ctx, r.ID)
	}
	if fired.State == postdate.Scheduled { // Temporal shows its attempt a moment later
		fired.State, fired.Reason = postdate.Sending, fmt.Sprintf("attempt %d is about to be made", fired.Attempts.Next())
		fired.NextAttemptAt = time.Time{}
	}
	switch {
	case err != nil:
		return nil, err
	case !done:
		return FireSchedule202JSONResponse(s.deliveryOf(fired)), nil
	}
	return FireSchedule200JSONResponse(s.deliveryOf(fired)), nil
}

// ListSchedules lists schedules as the deliveries they are.
func (s *server) ListSchedules(ctx context.Context, r ListSchedulesRequestObject) (ListSchedulesResponseObject, error) {
	page, err := s.list(ctx, postdate.Filter{
		Tenant: tenantOf(ctx), SchedulesOnly: true, State: r.Params.State, Entity: r.Params.Entity, Type: r.Params.Type,
		Import: r.Params.Import, DueBefore: r.Params.DueBefore, DueAfter: r.Params.DueAfter,
	}, r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	return ListSchedules200JSONResponse(page), nil
}

// scheduleOf is the noun that the tenant's body describes.
func scheduleOf(tenant string, body CreateSchedule) postdate.Schedule {
	var to postdate.Destination
	if body.To != nil { // it is not empty, by the specification
		to = *body.To
	}
	return postdate.Schedule{
		Tenant:    tenant,
		ID:        body.ID,
		Entity:    body.Entity,
		Type:      body.Type,
		Data:      compact(body.Data),
		To:        to,
		DueAt:     utc(body.DueAt),
		Delay:     body.Delay,
		Spread:    body.Spread,
		Retry:     body.Retry,
		Timeout:   body.Timeout,
		ExpiresAt: utc(body.ExpiresAt),
	}
}

// deliverInput is what carries schedule, accepted at now.
func deliverInput(ctx context.Context, schedule postdate.Schedule, now time.Time) protocol.DeliverInput {
	due := schedule.Due(now)
	if due.Before(now) {
		due = now
	}
	in := protocol.DeliverInput{Retry: postdate.RetryOrDefault(schedule.Retry)}
	if schedule.ExpiresAt != nil {
		in.ExpiresAt = *schedule.ExpiresAt // after it is due, so not zero
	}
	in.Import = importOf(ctx)
	in.Shipment.To = schedule.To
	in.Shipment.DueAt = due
	switch {
	case schedule.Timeout != nil:
		in.Shipment.Timeout = *schedule.Timeout
	case schedule.To.Endpoint == "": // else it is the endpoint's, as it is then
		in.Shipment.Timeout = postdate.Duration(postdate.DefaultTimeout)
	}
	in.Shipment.Message = postdate.Message{
		ID:          schedule.ID,
		Tenant:      tenantOf(ctx),
		Entity:      schedule.Entity,
		Type:        schedule.Type,
		Timestamp:   due,
		Data:        schedule.Data,
		TraceParent: traceParent(ctx),
	}
	return in
}

// acceptSchedule refuses what could never be sent, or never to there, and fills in
// how its endpoint wants to be tried where the schedule itself says nothing.
func (s *server) acceptSchedule(ctx context.Context, schedule *postdate.Schedule, now time.Time) error {
	if err := s.checkSchedule(ctx, schedule, now); err != nil || schedule.To.URL == "" {
		return err
	}
	return s.ensureSecret(ctx)
}

// checkSchedule is acceptSchedule, and changes nothing of the tenant.
func (s *server) checkSchedule(ctx context.Context, schedule *postdate.Schedule, now time.Time) error {
	if err := schedule.Validate(now, s.AllowHTTP); err != nil {
		return err
	}
	switch to := schedule.To; {
	case to.Endpoint != "":
		return s.acceptEndpoint(ctx, schedule)
	case to.Stream != "":
		if err := s.Streams.Check(tenantOf(ctx), to.Stream); err != nil {
			return postdate.Errorf(postdate.Invalid, "/to/stream", "%s", err)
		}
		return nil
	case to.URL != "" && s.CheckURL != nil:
		u, err := url.Parse(to.URL)
		if err == nil {
			err = s.CheckURL(tenantOf(ctx), u)
		}
		if err != nil {
			return postdate.Errorf(postdate.Invalid, "/to/url", "%s", err)
		}
	}
	return nil
}

// acceptEndpoint refuses an endpoint that the tenant does not have.
func (s *server) acceptEndpoint(ctx context.Context, schedule *postdate.Schedule) error {
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil {
		return err
	}
	endpoint, ok := tenant.Endpoint(schedule.To.Endpoint)
	if !ok {
		return postdate.Errorf(postdate.Invalid, "/to/endpoint", "there is no endpoint %q", schedule.To.Endpoint)
	}
	if schedule.Retry == nil {
		schedule.Retry = endpoint.Retry
	}
	return nil
}

// ensureSecret makes the tenant a secret by which its messages to bare urls are
// signed, where it has none.
func (s *server) ensureSecret(ctx context.Context) error {
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil || len(tenant.Secrets) > 0 {
		return err
	}
	_, err = s.Tenants.EnsureSecret(ctx, tenantOf(ctx), postdate.Secret(signature.NewSecret().Reveal()))
	return err
}

// digest is the same for requests that ask for the same: however they are
// spaced, in whatever order their fields come, in whatever zone their times are.
func digest(body CreateSchedule) string {
	body.DueAt, body.ExpiresAt = utc(body.DueAt), utc(body.ExpiresAt)
	body.Data = ingest.Sorted(body.Data)
	return ingest.Digest(body)
}

// compact is data without its insignificant white space.
func compact(data json.RawMessage) json.RawMessage {
	if data == nil {
		return nil
	}
	var text bytes.Buffer
	if err := json.Compact(&text, data); err != nil {
		panic(err) // it was valid JSON when the request was read
	}
	return text.Bytes()
}
