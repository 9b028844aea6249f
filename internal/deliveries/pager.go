package deliveries

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Cursor is a place in a list: that of a delivery which was shown.
type Cursor struct {
	// Start is when its execution was started, and Workflow the workflow id of that.
	Start    time.Time `json:"s"`
	Workflow string    `json:"w"`
	// Delivery is its own id: an execution may carry several.
	Delivery string `json:"i"`
	// Window is how long a window held about a page, for the next one.
	Window time.Duration `json:"d,omitempty"`
}

// pager pages through the executions that a filter matches, latest start first.
// Temporal cannot list them in this order: it returns open ones first and then those
// closed last, so that what ends between two pages is skipped or repeated. So the
// pager lists one window of time after another, each small enough for one request, and
// sorts what is in it. When an execution was started never changes.
type pager struct {
	store  *Store
	filter postdate.Filter
	now    time.Time
	// until is the latest start that comes next: zero at the beginning.
	until time.Time
	// window is how long the next window is.
	window time.Duration
	// wanted is about how many executions a window should hold.
	wanted int
	// groupsOnly leaves out what has executions of its own.
	groupsOnly bool
	done       bool
}

const (
	// maxPage is how many executions Temporal lists at once, at most.
	maxPage = 1000
	// firstWindow is a guess; it grows by windowFactor where nothing is found, and
	// shrinks by it where there is too much.
	firstWindow  = time.Minute
	windowFactor = 16
	// precision is that of the times by which Temporal lists.
	precision = time.Microsecond
)

// beginning is before anything was ever delivered.
var beginning = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// next returns the executions of the next window that is not empty, latest start
// first: none when there are no more.
func (p *pager) next(ctx context.Context) ([]*workflowpb.WorkflowExecutionInfo, error) {
	for !p.done {
		from, unbounded := p.from()
		found, whole, err := p.list(ctx, from, p.window > precision)
		if err != nil {
			return nil, err
		}
		if !whole {
			p.window = max(precision, min(p.window, p.upper().Sub(from))/windowFactor)
			continue
		}
		p.until, p.done = from, unbounded
		p.adapt(len(found))
		if len(found) > 0 {
			slices.SortFunc(found, later)
			return found, nil
		}
	}
	return nil, nil
}

// upper is the latest start that can come next.
func (p *pager) upper() time.Time {
	if p.until.IsZero() {
		return p.now
	}
	return p.until
}

// from is where the next window begins, exclusive, and whether nothing comes before it.
func (p *pager) from() (time.Time, bool) {
	from := p.upper().Add(-p.window).Truncate(precision)
	if from.Before(beginning) {
		return beginning, true
	}
	return from, false
}

// adapt sets the length of the window that follows one with n executions.
func (p *pager) adapt(n int) {
	switch {
	case n*windowFactor < p.wanted:
		p.window *= windowFactor
	case n > p.wanted*windowFactor:
		p.window /= windowFactor
	case n > 0:
		p.window = p.window / time.Duration(n) * time.Duration(p.wanted)
	}
	p.window = max(precision, min(p.window, p.now.Sub(beginning)))
}

// later orders executions by their start, the latest first.
func later(a, b *workflowpb.WorkflowExecutionInfo) int {
	return cmp.Or(
		asTime(b.GetStartTime()).Compare(asTime(a.GetStartTime())),
		cmp.Compare(b.GetExecution().GetWorkflowId(), a.GetExecution().GetWorkflowId()),
		cmp.Compare(b.GetExecution().GetRunId(), a.GetExecution().GetRunId()),
	)
}

// list lists what was started after from, up to the upper end. It reports whether that
// is all: of a window that can be made shorter it lists no more than one request holds.
func (p *pager) list(ctx context.Context, from time.Time, divisible bool) (found []*workflowpb.WorkflowExecutionInfo, whole bool, err error) {
	condition := query(p.filter, p.now) + " AND StartTime > " + executions.QuoteTime(from)
	if p.groupsOnly {
		condition += " AND WorkflowType = " + executions.Quote(protocol.ScheduleGroupWorkflow)
	}
	if !p.until.IsZero() {
		condition += " AND StartTime <= " + executions.QuoteTime(p.until)
	}
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: p.store.executions.Namespace(), PageSize: maxPage, Query: condition,
	}
	for {
		page, err := p.store.temporal.ListWorkflow(ctx, request)
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
