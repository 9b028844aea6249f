package apiserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// CreateSchedule starts the execution that carries the message.
func (s *server) CreateSchedule(ctx context.Context, r CreateScheduleRequestObject) (CreateScheduleResponseObject, error) {
	now := s.Now().UTC()
	schedule := scheduleOf(*r.Body)
	if err := s.validateSchedule(schedule, now); err != nil {
		return nil, err
	}
	if schedule.ID == "" {
		schedule.ID = madeID(tenantOf(ctx), r.Params.IdempotencyKey)
	}
	told := workflows.Accepted{Digest: digest(*r.Body), To: schedule.To, At: now}

	made, err := s.start(ctx, deliverInput(ctx, schedule, now), told, enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE)
	if _, exists := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); exists {
		return s.repeated(ctx, schedule.ID, told.Digest)
	}
	if err != nil {
		return nil, err
	}
	return CreateSchedule201JSONResponse{
		Body:    made.face(now),
		Headers: CreateSchedule201ResponseHeaders{Location: "/v1/schedules/" + schedule.ID},
	}, nil
}

// repeated answers a request whose id is taken: by an earlier one like it, or by another.
func (s *server) repeated(ctx context.Context, id, digest string) (CreateScheduleResponseObject, error) {
	found, err := s.look(ctx, id)
	if err != nil {
		return nil, err
	}
	if found.told.Digest != digest {
		return nil, postdate.Errorf(postdate.Conflict, "", "%q exists already, from a request with another body", id)
	}
	return CreateSchedule200JSONResponse(found.face(s.Now())), nil
}

// GetSchedule shows the schedule as the delivery it is.
func (s *server) GetSchedule(ctx context.Context, r GetScheduleRequestObject) (GetScheduleResponseObject, error) {
	found, err := s.look(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return GetSchedule200JSONResponse(found.face(s.Now())), nil
}

// ChangeSchedule changes when it is due, or what is sent.
func (s *server) ChangeSchedule(ctx context.Context, r ChangeScheduleRequestObject) (ChangeScheduleResponseObject, error) {
	change := postdate.Change{DueAt: r.Body.DueAt.UTC(), Data: compact(r.Body.Data)}
	// What could never be done wakes no sleeper.
	if err := change.Validate(s.Now(), time.Time{}); err != nil {
		return nil, err
	}
	if err := s.update(ctx, r.ID, workflows.UpdateReschedule, change); err != nil {
		return nil, err
	}
	found, err := s.look(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return ChangeSchedule200JSONResponse(found.face(s.Now())), nil
}

// CancelSchedule cancels it, unless it ends otherwise first.
func (s *server) CancelSchedule(ctx context.Context, r CancelScheduleRequestObject) (CancelScheduleResponseObject, error) {
	if err := s.cancel(ctx, r.ID); err != nil {
		return nil, err
	}
	return CancelSchedule200JSONResponse{State: postdate.Cancelled}, nil
}

// FireSchedule has it sent now.
func (s *server) FireSchedule(ctx context.Context, r FireScheduleRequestObject) (FireScheduleResponseObject, error) {
	if err := s.update(ctx, r.ID, workflows.UpdateFire); err != nil {
		return nil, err
	}
	found, err := s.look(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return FireSchedule200JSONResponse(found.face(s.Now())), nil
}

// ListSchedules lists schedules as the deliveries they are.
func (s *server) ListSchedules(ctx context.Context, r ListSchedulesRequestObject) (ListSchedulesResponseObject, error) {
	page, err := s.list(ctx, ListDeliveriesParams(r.Params))
	if err != nil {
		return nil, err
	}
	return ListSchedules200JSONResponse(page), nil
}

// scheduleOf is the noun that body describes.
func scheduleOf(body CreateSchedule) postdate.Schedule {
	return postdate.Schedule{
		ID:        body.ID,
		Entity:    body.Entity,
		Type:      body.Type,
		Data:      compact(body.Data),
		To:        body.To,
		DueAt:     body.DueAt.UTC(),
		Delay:     body.Delay,
		Retry:     body.Retry,
		Timeout:   body.Timeout,
		ExpiresAt: body.ExpiresAt.UTC(),
	}
}

// deliverInput is what carries schedule, accepted at now.
func deliverInput(ctx context.Context, schedule postdate.Schedule, now time.Time) workflows.DeliverInput {
	due := schedule.Due(now)
	if due.Before(now) {
		due = now
	}
	in := workflows.DeliverInput{ExpiresAt: schedule.ExpiresAt}
	if schedule.Retry != nil {
		in.Retry = *schedule.Retry
	}
	in.Retry = in.Retry.WithDefaults()
	in.Shipment.To = schedule.To
	in.Shipment.DueAt = due
	in.Shipment.Timeout = postdate.Duration(postdate.DefaultTimeout)
	if schedule.Timeout != nil {
		in.Shipment.Timeout = *schedule.Timeout
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

// validateSchedule refuses what could never be sent, or never to there.
func (s *server) validateSchedule(schedule postdate.Schedule, now time.Time) error {
	if err := schedule.Validate(now, s.AllowHTTP); err != nil {
		return err
	}
	if s.CheckURL == nil {
		return nil
	}
	u, err := url.Parse(schedule.To.URL)
	if err == nil {
		err = s.CheckURL(u)
	}
	if err != nil {
		return postdate.Errorf(postdate.Invalid, "/to/url", "%s", err)
	}
	return nil
}

// madeID makes an id: a new one, in order of time, or the one that the tenant's
// idempotency key always makes.
func madeID(tenant, key string) string {
	if key != "" {
		sum := hash(tenant + "\n" + key)
		return "sch_" + hex.EncodeToString(sum[:16])
	}
	return "sch_" + strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", "")
}

// digest is the same for requests that ask for the same: however they are
// spaced, in whatever order their fields come, in whatever zone they tell times.
func digest(body CreateSchedule) string {
	body.DueAt, body.ExpiresAt = body.DueAt.UTC(), body.ExpiresAt.UTC()
	body.Data = sorted(body.Data)
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// sorted is data with the fields of its objects in order. Numbers stay as written.
func sorted(data json.RawMessage) json.RawMessage {
	if data == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		panic(err) // it was valid JSON when the request was read
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
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
