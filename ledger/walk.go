package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/postdate/postdate"
)

// Position is a place in a list: that of a delivery which was shown.
type Position struct {
	// Start is when its execution was started, and Workflow that one's id.
	Start    time.Time `json:"s"`
	Workflow string    `json:"w"`
	// Delivery is its own id: an execution may carry several.
	Delivery string `json:"i"`
	// Window is how long a stretch of time held about a page, for the next one.
	Window time.Duration `json:"d,omitempty"`
}

// walk goes through the executions that a filter means, latest start first. The
// engine cannot put them in this order: it gives open ones first and then those
// closed last, so that what ends in between is skipped or repeated. So the walk
// takes one stretch of time after another, each small enough to be had at once,
// and orders what is in it. When an execution was started never changes.
type walk struct {
	*Ledger
	filter postdate.Filter
	now    time.Time
	// until is the latest start that comes next: zero at the beginning.
	until time.Time
	// window is how long the next stretch is.
	window time.Duration
	// wanted is about how many executions a stretch should hold.
	wanted int
	over   bool
}

const (
	// mostRows is how many executions the engine lists at once, at most.
	mostRows = 1000
	// firstWindow is a guess; it grows by stride where nothing is found, and
	// shrinks by it where there is too much.
	firstWindow = time.Minute
	stride      = 16
	// precision is that of the times by which the engine lists.
	precision = time.Microsecond
)

// beginning is before anything was ever delivered.
var beginning = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// next are the executions of the next stretch in which there are any, latest
// start first. There are none when the walk is over.
func (w *walk) next(ctx context.Context) ([]*workflowpb.WorkflowExecutionInfo, error) {
	for !w.over {
		from, unbounded := w.from()
		found, whole, err := w.stretch(ctx, from, w.window > precision)
		if err != nil {
			return nil, err
		}
		if !whole {
			w.window = max(precision, min(w.window, w.upper().Sub(from))/stride)
			continue
		}
		w.until, w.over = from, unbounded
		w.adapt(len(found))
		if len(found) > 0 {
			slices.SortFunc(found, later)
			return found, nil
		}
	}
	return nil, nil
}

// upper is the latest start that can come next.
func (w *walk) upper() time.Time {
	if w.until.IsZero() {
		return w.now
	}
	return w.until
}

// from is where the next stretch begins, which it does not include, and whether
// nothing comes before it.
func (w *walk) from() (time.Time, bool) {
	from := w.upper().Add(-w.window).Truncate(precision)
	if from.Before(beginning) {
		return beginning, true
	}
	return from, false
}

// adapt chooses the length of the stretch that follows one with n executions.
func (w *walk) adapt(n int) {
	switch {
	case n*stride < w.wanted:
		w.window *= stride
	case n > w.wanted*stride:
		w.window /= stride
	case n > 0:
		w.window = w.window / time.Duration(n) * time.Duration(w.wanted)
	}
	w.window = max(precision, min(w.window, w.now.Sub(beginning)))
}

// later orders executions by their start, the latest first.
func later(a, b *workflowpb.WorkflowExecutionInfo) int {
	return cmp.Or(
		asTime(b.GetStartTime()).Compare(asTime(a.GetStartTime())),
		cmp.Compare(b.GetExecution().GetWorkflowId(), a.GetExecution().GetWorkflowId()),
		cmp.Compare(b.GetExecution().GetRunId(), a.GetExecution().GetRunId()),
	)
}

// stretch lists what was started after from, up to the upper end. What is not to
// be had at once is not had whole: that is refused where it can be made shorter.
func (w *walk) stretch(ctx context.Context, from time.Time, divisible bool) (found []*workflowpb.WorkflowExecutionInfo, whole bool, err error) {
	question := query(w.filter, w.now) + " AND StartTime > " + quoteTime(from)
	if !w.until.IsZero() {
		question += " AND StartTime <= " + quoteTime(w.until)
	}
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: w.Namespace, PageSize: mostRows, Query: question}
	for {
		page, err := w.Temporal.ListWorkflow(ctx, request)
		if err != nil {
			return nil, false, fmt.Errorf("list: %w", err)
		}
		found = append(found, page.GetExecutions()...)
		request.NextPageToken = page.GetNextPageToken()
		switch {
		case len(page.GetNextPageToken()) == 0:
			return found, true, nil
		case divisible:
			return nil, false, nil
		}
	}
}
