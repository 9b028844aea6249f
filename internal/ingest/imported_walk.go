package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// walk is a walk along the chain of the groups of a span.
type walk struct {
	*Ingester
	*ImportSpan

	refused map[int]error // by line
}

// next starts or reads the next group of the chain. Open are the lines that are in none
// before it. It reports whether the walk goes on: it does not where there is no such group,
// and none of the lines may be started.
func (w *walk) next(ctx context.Context, open []Line) (more bool, err error) {
	if w.repeated.Load() || w.aged && !w.searched {
		if found, err := w.readNext(ctx); found || err != nil {
			return true, err
		}
		if found, err := w.search(ctx); found || err != nil {
			return true, err
		}
	}
	admitted := w.admit(ctx, open)
	defer func() {
		for _, line := range admitted {
			if known := w.known[line.Number]; known == nil || !known.created {
				line.release()
			}
		}
	}()
	if len(admitted) == 0 {
		return w.readNext(ctx)
	}
	items, numbers := w.plan(admitted)
	in := protocol.ScheduleGroupInput{Tenant: w.tenant, ID: w.group(w.groups), Import: admitted[0].Input.Import}
	for n, item := range items {
		in = in.With(item.Input, item.Accepted, numbers[n])
	}
	_, late, err := w.startGroup(ctx, in)
	if errors.Is(err, executions.ErrExists) {
		_, err = w.readNext(ctx)
		return true, err
	}
	if err != nil {
		return false, err
	}
	w.learn(in, true, late)
	return true, nil
}

// admittedLine is a line that may be started. release says that it is not.
type admittedLine struct {
	Line

	release func()
}

// admit returns those lines that may be started, and notes why the others may not.
func (w *walk) admit(ctx context.Context, lines []Line) []admittedLine {
	var admitted []admittedLine
	for _, line := range lines {
		refusal, release := line.Refused, func() {}
		if refusal == nil {
			release, refusal = w.Ingester.admit(ctx, line.Input)
		}
		if refusal != nil {
			w.refused[line.Number] = refusal
			continue
		}
		admitted = append(admitted, admittedLine{line, release})
	}
	return admitted
}

// plan is what the next group carries, with the numbers of the lines: of those that are due
// within the same second the most, as many as fit. At least one is.
func (w *walk) plan(lines []admittedLine) (items []*unnamed, numbers []int) {
	counts := make(map[int64]int)
	var due int64
	for _, line := range lines {
		unix := line.Input.Shipment.DueAt.Unix()
		counts[unix]++
		if counts[unix] > counts[due] {
			due = unix
		}
	}
	for _, line := range lines {
		if line.Input.Shipment.DueAt.Unix() == due {
			items, numbers = append(items, newUnnamed(line.Unnamed)), append(numbers, line.Number)
		}
	}
	fit := fittingSchedules(items)
	return items[:fit], numbers[:fit]
}

// readNext reads the next group of the chain, and reports whether there is one.
func (w *walk) readNext(ctx context.Context) (found bool, err error) {
	in, found, err := w.readGroup(ctx, w.groups)
	if err == nil && found {
		w.learn(in, false, 0)
	}
	return found, err
}

// maxReads bounds how often a group is read that begins another run meanwhile.
const maxReads = 3

// readGroup reads what a group of the span was started with, and reports whether it exists.
func (w *walk) readGroup(ctx context.Context, number int) (in protocol.ScheduleGroupInput, found bool, err error) {
	workflowID := protocol.ScheduleGroupID(w.tenant, w.group(number))
	for range maxReads {
		described, err := w.executions.Describe(ctx, workflowID, workflowID)
		if postdate.CodeOf(err) == postdate.NotFound {
			return in, false, nil
		}
		if err != nil {
			return in, false, err
		}
		in = protocol.ScheduleGroupInput{}
		err = w.executions.ReadInput(ctx, described.GetWorkflowExecutionInfo(), &in)
		if _, deleted := errors.AsType[*serviceerror.NotFound](err); !deleted {
			return in, err == nil, err
		}
	}
	return in, false, fmt.Errorf("read %s: %w", workflowID, executions.ErrTooLate)
}

// learn adds what a group carries to what is known. late is how long after it is due it is to
// start, where it was started now.
func (w *walk) learn(in protocol.ScheduleGroupInput, created bool, late time.Duration) {
	for place, entry := range in.Entries {
		if w.known[entry.Line] == nil {
			w.known[entry.Line] = &importedLine{postdate.GroupedScheduleID(in.ID, place), entry.Digest, created, late}
		}
	}
	w.groups++
	w.repeated.Store(!created)
}

// maxSearching bounds the groups that are looked for at once.
const maxSearching = 16

// search looks, in an aged import, for groups behind one that is not there. It reports whether
// there are any; what follows is started behind the last.
func (w *walk) search(ctx context.Context) (found bool, err error) {
	if !w.aged || w.searched {
		return false, nil
	}
	first := w.groups + 1
	groups := make([]*protocol.ScheduleGroupInput, max(0, protocol.ImportSpan-first))
	searching, ctx := errgroup.WithContext(ctx)
	searching.SetLimit(maxSearching)
	for n := range groups {
		searching.Go(func() error {
			in, there, err := w.readGroup(ctx, first+n)
			if there {
				groups[n] = &in
			}
			return err
		})
	}
	if err := searching.Wait(); err != nil {
		return false, err
	}
	w.searched = true
	for n, in := range groups {
		if in != nil {
			w.groups, found = first+n, true
			w.learn(*in, false, 0)
		}
	}
	return found, nil
}
