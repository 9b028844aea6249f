package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
)

const (
	pathSchedules, pathScheduleBatch, pathImport = "/v1/schedules", "/v1/schedules/batch", "/v1/schedules/import"

	// maxSchedules bounds a batch.
	maxSchedules = 1000
	// maxCreating bounds the schedules that one batch or import creates side by side.
	maxCreating = 32
)

// CreateSchedules creates several schedules. One that is refused does not hold up the others.
func (s *server) CreateSchedules(ctx context.Context, r CreateSchedulesRequestObject) (CreateSchedulesResponseObject, error) {
	if n := len(r.Body.Schedules); n < 1 || n > maxSchedules {
		return nil, postdate.Errorf(postdate.Invalid, "/schedules", "from 1 to %d", maxSchedules)
	}
	leave, err := s.imports.enter(tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	defer leave()
	schedules := make([]newSchedule, len(r.Body.Schedules))
	for place, text := range r.Body.Schedules {
		schedules[place] = s.readSchedule(text)
		if r.Params.IdempotencyKey != "" {
			schedules[place].key = "batch\n" + r.Params.IdempotencyKey + "\n" + strconv.Itoa(place)
		}
	}
	s.createMany(ctx, schedules)
	results := make([]ScheduleResult, len(schedules))
	for place := range schedules {
		results[place] = s.scheduleResult(ctx, schedules[place].created)
	}
	return CreateSchedules200JSONResponse{Data: results}, nil
}

// newSchedule is a schedule of a batch or of an import.
type newSchedule struct {
	body CreateSchedule
	// key is what its id follows from where it has none: empty of one that nothing repeats.
	key string
	created
}

// created is what became of it.
type created struct {
	id     string
	exists bool
	err    error
}

// createMany creates those schedules that are not refused yet, and sets what became of
// each. It is the one place where many are created. Of those with the same id the first is
// created, and the others find it.
func (s *server) createMany(ctx context.Context, schedules []newSchedule) {
	var creating errgroup.Group
	creating.SetLimit(maxCreating)
	first, later := make(map[string]bool), []*newSchedule{}
	for i := range schedules {
		schedule := &schedules[i]
		switch id := schedule.body.ID; {
		case schedule.err != nil:
			continue
		case id != "" && first[id]:
			later = append(later, schedule)
			continue
		default:
			first[id] = true
		}
		creating.Go(func() error {
			s.createOne(ctx, schedule)
			return nil
		})
	}
	_ = creating.Wait() // each has its own result
	for _, schedule := range later {
		s.createOne(ctx, schedule)
	}
}

// createOne creates one schedule, as a request for it alone would.
func (s *server) createOne(ctx context.Context, schedule *newSchedule) {
	defer func() {
		if value := recover(); value != nil {
			schedule.err = &panicked{value: value, stack: debug.Stack()}
		}
	}()
	if schedule.err = ctx.Err(); schedule.err != nil {
		return
	}
	request := CreateScheduleRequestObject{Params: CreateScheduleParams{IdempotencyKey: schedule.key}, Body: &schedule.body}
	answer, err := s.CreateSchedule(ctx, request)
	// What has an id can be created again: where the engine is busy, who sends waits for it.
	for pause := firstPause; pause <= lastPause && problemOf(err).Code == postdate.Unavailable && schedule.isNamed() && ctx.Err() == nil; pause *= 2 {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			answer, err = s.CreateSchedule(ctx, request)
		}
	}
	switch answer := answer.(type) {
	case CreateSchedule201JSONResponse:
		schedule.id = answer.Body.ID
	case CreateSchedule200JSONResponse:
		schedule.id, schedule.exists = answer.ID, true
	}
	schedule.err = err
}

// firstPause and lastPause are how long it is waited before a schedule is created again.
const firstPause, lastPause = 100 * time.Millisecond, 2 * time.Second

// isNamed reports whether creating it again finds what was created before.
func (s *newSchedule) isNamed() bool { return s.key != "" || s.body.ID != "" }

// readSchedule reads a schedule and holds it to its form, as validate does with a request.
func (s *server) readSchedule(text []byte) (schedule newSchedule) {
	if len(text) > maxBody {
		schedule.err = postdate.Errorf(tooLarge, "", "a schedule has at most %d KiB", maxBody>>10)
		return schedule
	}
	form, err := readDocument(text, s.scheduleSchema)
	if err == nil {
		err = s.validateSchedule(form)
	}
	if err == nil {
		err = json.Unmarshal(text, &schedule.body)
	}
	schedule.err = err
	return schedule
}

// validateSchedule finds the faults of a schedule's form.
func (s *server) validateSchedule(form []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(form))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return postdate.Errorf(malformed, "", "not JSON: %s", err)
	}
	options := append([]openapi3.SchemaValidationOption{openapi3.VisitAsRequest(), openapi3.MultiErrors()}, validation.SchemaValidationOptions...)
	if faults := fieldErrors(s.scheduleSchema.VisitJSON(value, options...)); len(faults) > 0 {
		return invalid(faults)
	}
	return nil
}

// scheduleResult is what became of a schedule, as a part of an answer. What we cannot
// explain is logged here, for the request as a whole is none that failed.
func (s *server) scheduleResult(ctx context.Context, c created) ScheduleResult {
	switch {
	case c.err == nil && c.exists:
		return ScheduleResult{Status: http.StatusOK, ID: c.id}
	case c.err == nil:
		return ScheduleResult{Status: http.StatusCreated, ID: c.id}
	}
	err := c.err
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("the caller has gone: %w", err)
	}
	p := problemOf(err)
	if p.Code == internal {
		s.Log.ErrorContext(ctx, "a schedule of many was not created", "tenant", tenantOf(ctx), "error", err)
		p.Detail = "our own fault: try again"
	}
	result := ScheduleResult{Status: http.StatusInternalServerError, Code: p.Code, Detail: p.Detail, Errors: p.Errors}
	if status, ok := statusOf[p.Code]; ok {
		result.Status = status
	}
	return result
}
