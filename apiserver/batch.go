package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/ingest"
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
	spans := new(importSpans)
	if key := r.Params.IdempotencyKey; key != "" {
		spans = &importSpans{of: ingest.NewImport(tenantOf(ctx), "batch\n"+key+"\n", false)}
	}
	schedules := make([]newSchedule, len(r.Body.Schedules))
	for place, text := range r.Body.Schedules {
		schedules[place] = s.readSchedule(text)
		spans.number(&schedules[place], place+1)
	}
	s.createMany(ctx, schedules)
	results := make([]ScheduleResult, len(schedules))
	for place := range schedules {
		results[place] = s.scheduleResult(ctx, schedules[place].created)
	}
	return CreateSchedules200JSONResponse{Data: results}, nil
}

// readSchedule reads a schedule and holds it to its form, as validate does with a request.
func (s *server) readSchedule(text []byte) (schedule newSchedule) {
	if len(text) > maxBody {
		schedule.err = postdate.Errorf(tooLarge, "", "a schedule has at most %d KiB", maxBody>>10)
		return schedule
	}
	form, err := readDocument(text, s.scheduleSchema)
	if err == nil {
		err = validateForm(form, s.scheduleSchema)
	}
	if err == nil {
		err = json.Unmarshal(text, &schedule.body)
	}
	schedule.err = err
	return schedule
}

// validateForm finds the faults of a document's form.
func validateForm(form []byte, schema *openapi3.Schema) error {
	decoder := json.NewDecoder(bytes.NewReader(form))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return postdate.Errorf(malformed, "", "not JSON: %s", err)
	}
	options := append([]openapi3.SchemaValidationOption{openapi3.VisitAsRequest(), openapi3.MultiErrors()}, validation.SchemaValidationOptions...)
	if faults := fieldErrors(schema.VisitJSON(value, options...)); len(faults) > 0 {
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
		return ScheduleResult{Status: http.StatusCreated, ID: c.id, NextAttemptAt: c.putOffTo}
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
