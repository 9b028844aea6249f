package apiserver

import (
	"context"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/ingest"
)

// newSchedule is a schedule of a batch or of an import.
type newSchedule struct {
	body CreateSchedule
	// line is its number, and span has what is known of the lines around it: nil of one that
	// nothing repeats.
	line int
	span *ingest.ImportSpan
	created
}

// created is what became of it.
type created struct {
	id     string
	exists bool
	// putOffTo is when it is sent, where that is long after it is due: zero otherwise.
	putOffTo time.Time
	err      error
}

// putOffTo is when what is due at a time is sent: zero where that is not long after it.
func putOffTo(due, next time.Time) time.Time {
	if next.Sub(due) > ingest.LongDelay {
		return next
	}
	return time.Time{}
}

// isNamed reports whether creating it again finds what was created before.
func (s *newSchedule) isNamed() bool { return s.span != nil || s.body.ID != "" }

// key is what its id follows from where it has an execution of its own and names no id.
func (s *newSchedule) key() string {
	if s.span == nil {
		return ""
	}
	return s.span.Base() + strconv.Itoa(s.line)
}

// importSpans numbers the schedules of an import, in the order of their lines.
type importSpans struct {
	of   *ingest.Import // nil where nothing repeats them
	last *ingest.ImportSpan
	at   int
}

// number gives a schedule its line.
func (i *importSpans) number(schedule *newSchedule, line int) {
	schedule.line = line
	if i.of == nil {
		return
	}
	if at := ingest.SpanOf(line); i.last == nil || at != i.at {
		i.last, i.at = ingest.NewImportSpan(i.of, line), at
	}
	schedule.span = i.last
}

// createMany creates those schedules that are not refused yet, and sets what became of
// each. It is the one place where many are created.
func (s *server) createMany(ctx context.Context, schedules []newSchedule) {
	var own, unnamed []*newSchedule
	lines := make(map[*ingest.ImportSpan][]*newSchedule)
	for i := range schedules {
		schedule := &schedules[i]
		switch body := schedule.body; {
		case schedule.err != nil:
		case body.ID != "", body.Recurrence != nil, schedule.span != nil && body.DueAtLocal != "":
			own = append(own, schedule)
		case schedule.span != nil:
			lines[schedule.span] = append(lines[schedule.span], schedule)
		default:
			unnamed = append(unnamed, schedule)
		}
	}
	var creating errgroup.Group
	creating.Go(func() error { s.createOwn(ctx, own); return nil })
	creating.Go(func() error { s.createUnnamed(ctx, unnamed); return nil })
	for span, ofSpan := range lines {
		creating.Go(func() error { s.createLines(ctx, span, ofSpan); return nil })
	}
	_ = creating.Wait() // each has its own result
}

// createOwn creates schedules with executions of their own. Of those with the same id the
// first is created, and the others find it.
func (s *server) createOwn(ctx context.Context, schedules []*newSchedule) {
	var creating errgroup.Group
	creating.SetLimit(maxCreating)
	first, later := make(map[string]bool), []*newSchedule{}
	for _, schedule := range schedules {
		id := schedule.body.ID
		if id != "" && first[id] {
			later = append(later, schedule)
			continue
		}
		first[id] = true
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
	defer schedule.recoverPanic()
	if schedule.err = ctx.Err(); schedule.err != nil {
		return
	}
	request := CreateScheduleRequestObject{Params: CreateScheduleParams{IdempotencyKey: schedule.key()}, Body: &schedule.body}
	answer, err := s.CreateSchedule(ctx, request)
	// What has an id can be created again: where the engine is busy, who sends waits for it.
	for pause := firstPause; pause <= lastPause && isBusy(err) && schedule.isNamed() && ctx.Err() == nil; pause *= 2 {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			answer, err = s.CreateSchedule(ctx, request)
		}
	}
	switch answer := answer.(type) {
	case CreateSchedule201JSONResponse:
		schedule.id, schedule.putOffTo = answer.Body.ID, putOffTo(answer.Body.DueAt, answer.Body.NextAttemptAt)
	case CreateSchedule200JSONResponse:
		schedule.id, schedule.exists = answer.ID, true
	}
	schedule.err = err
}

// firstPause and lastPause are how long it is waited before a schedule is created again.
const firstPause, lastPause = 100 * time.Millisecond, 2 * time.Second

// isBusy reports whether the engine may take later what it does not take now.
func isBusy(err error) bool { return err != nil && problemOf(err).Code == postdate.Unavailable }

// recoverPanic is deferred: a panic is what became of the schedule.
func (s *newSchedule) recoverPanic() {
	if value := recover(); value != nil {
		s.err = &panicked{value: value, stack: debug.Stack()}
	}
}

// prepare is what is started for a schedule that comes at now, as those beside it do. What is
// refused has its error, and may exist.
func (s *server) prepare(ctx context.Context, schedule *newSchedule, now time.Time) (prepared ingest.Unnamed) {
	defer schedule.recoverPanic()
	if schedule.err = ctx.Err(); schedule.err == nil {
		prepared, schedule.err = s.scheduleInput(ctx, schedule.body, schedule.key(), now)
	}
	return prepared
}

// createUnnamed creates schedules that nothing repeats, in as few executions as can be.
func (s *server) createUnnamed(ctx context.Context, schedules []*newSchedule) {
	var prepared []ingest.Unnamed
	var starting []*newSchedule
	now := s.Now().UTC()
	for _, schedule := range schedules {
		if unnamed := s.prepare(ctx, schedule, now); schedule.err == nil {
			prepared, starting = append(prepared, unnamed), append(starting, schedule)
		}
	}
	for n, created := range s.Ingester.AcceptAllUnnamed(ctx, prepared) {
		starting[n].id, starting[n].err = created.Delivery.ID, created.Err
		starting[n].putOffTo = putOffTo(created.Delivery.DueAt, created.Delivery.NextAttemptAt)
	}
}

// createLines creates lines of a span, in as few executions as can be.
func (s *server) createLines(ctx context.Context, span *ingest.ImportSpan, schedules []*newSchedule) {
	lines, now := make([]ingest.Line, len(schedules)), s.Now().UTC()
	for n, schedule := range schedules {
		lines[n].Number = schedule.line
		// What is refused may have been accepted when it first came, and have expired since.
		lines[n].Unnamed = s.prepare(ctx, schedule, now)
		lines[n].Refused = schedule.err
	}
	for pause := firstPause; len(lines) > 0; pause *= 2 {
		var busyLines []ingest.Line
		var busy []*newSchedule
		for n, result := range s.Ingester.AcceptLines(ctx, span, lines) {
			schedule := schedules[n]
			schedule.id, schedule.exists, schedule.err = result.ID, result.Exists, result.Err
			due := lines[n].Input.Shipment.DueAt
			schedule.putOffTo = putOffTo(due, due.Add(result.Late))
			if result.Changed {
				schedule.err = taken(result.ID)
			}
			if isBusy(result.Err) {
				busyLines, busy = append(busyLines, lines[n]), append(busy, schedule)
			}
		}
		lines, schedules = busyLines, busy
		if len(lines) == 0 || pause > lastPause {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
