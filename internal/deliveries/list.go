package deliveries

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// row is a delivery in a list, with the execution that carries it.
type row struct {
	postdate.DeliverySummary

	info *workflowpb.WorkflowExecutionInfo
	// place is that in its ScheduleGroup, and waiting how many wait in that.
	place, waiting int
	// restarted: DueAt is when Temporal takes it up, and when it is due is to be read.
	restarted bool
}

// List returns up to limit deliveries that a filter matches, the latest first: by when
// their executions were started. It begins behind after: the zero cursor is the
// beginning. It returns the cursor of the last one, or the zero cursor where none follow.
//
// That order is fixed whatever becomes of a delivery, so that paging neither repeats
// nor skips one. What is restarted moves to its new place, as does what leaves its group.
func (s *Store) List(ctx context.Context, filter postdate.Filter, after Cursor, limit int) (summaries []postdate.DeliverySummary, next Cursor, err error) {
	rows := make([]row, 0, limit)
	more := false
	p, err := s.forEach(ctx, filter, after, limit, func(r row) bool {
		if len(rows) == limit {
			more = true
			return false
		}
		rows = append(rows, r)
		return true
	})
	if err == nil {
		err = s.readDues(ctx, rows)
	}
	if err != nil {
		return nil, Cursor{}, err
	}
	summaries = make([]postdate.DeliverySummary, len(rows))
	for i, r := range rows {
		summaries[i] = r.DeliverySummary
	}
	if !more {
		return summaries, Cursor{}, nil
	}
	last := rows[len(rows)-1]
	return summaries, Cursor{
		Start:    asTime(last.info.GetStartTime()),
		Workflow: last.Execution.WorkflowID,
		Delivery: last.ID,
		Window:   p.window,
	}, nil
}

// Count counts the deliveries that a filter matches.
func (s *Store) Count(ctx context.Context, filter postdate.Filter) (int, error) {
	count := 0
	_, err := s.forEach(ctx, filter, Cursor{}, maxPage/2, func(row) bool { count++; return true })
	return count, err
}

// Find returns the deliveries that a filter matches, by the executions that carry them, oldest
// first.
func (s *Store) Find(ctx context.Context, filter postdate.Filter) ([]protocol.Found, error) {
	var found []protocol.Found
	_, err := s.forEachExecution(ctx, filter, Cursor{}, maxPage/2, func(rows []row) bool {
		if rows[0].info.GetType().GetName() == protocol.ScheduleGroupWorkflow {
			found = append(found, foundGroup(rows))
			return true
		}
		for _, r := range rows {
			found = append(found, protocol.Found{ID: r.ID})
		}
		return true
	})
	slices.Reverse(found)
	return found, err
}

// forEach calls visit with each delivery that a filter matches, latest first, as long
// as it returns true. The caller needs about wanted of them.
func (s *Store) forEach(ctx context.Context, filter postdate.Filter, after Cursor, wanted int, visit func(row) bool) (*pager, error) {
	return s.forEachExecution(ctx, filter, after, wanted, func(rows []row) bool {
		return !slices.ContainsFunc(rows, func(r row) bool { return !after.passed(r) && !visit(r) })
	})
}

// forEachExecution calls visit with the deliveries that a filter matches in each execution
// that has any, as [Store.forEach] does with each.
func (s *Store) forEachExecution(ctx context.Context, filter postdate.Filter, after Cursor, wanted int, visit func([]row) bool) (*pager, error) {
	leave, err := s.listing.enter(ctx, filter.Tenant)
	if err != nil {
		return nil, err
	}
	defer leave()
	p := &pager{store: s, filter: filter, now: s.now(), window: firstWindow, wanted: wanted}
	if after != (Cursor{}) {
		p.until, p.window = after.Start, cmp.Or(after.Window, firstWindow)
	}
	for {
		found, err := p.next(ctx)
		if err != nil || len(found) == 0 {
			return p, err
		}
		more, err := p.visit(ctx, found, visit)
		if err != nil || !more {
			return p, err
		}
	}
}

// visit calls do with the deliveries that each of some executions carries, as long as it
// returns true.
func (p *pager) visit(ctx context.Context, found []*workflowpb.WorkflowExecutionInfo, do func([]row) bool) (more bool, err error) {
	for _, info := range newestRuns(found) {
		rows, err := p.store.matches(ctx, p.filter, info, p.now)
		if err != nil {
			return false, err
		}
		if len(rows) > 0 && !do(rows) {
			return false, nil
		}
	}
	return true, nil
}

// newestRuns are those of found that no later run of the same execution is among: what was
// retried, or sleeps on, leaves a run behind that Temporal is about to delete.
func newestRuns(found []*workflowpb.WorkflowExecutionInfo) []*workflowpb.WorkflowExecutionInfo {
	newest := make(map[string]*workflowpb.WorkflowExecutionInfo)
	for _, info := range slices.Backward(found) {
		newest[info.GetExecution().GetWorkflowId()] = info
	}
	return slices.DeleteFunc(slices.Clone(found), func(info *workflowpb.WorkflowExecutionInfo) bool {
		return newest[info.GetExecution().GetWorkflowId()] != info
	})
}

// passed reports whether a row comes before c in the order of lists, or stands at it.
func (c Cursor) passed(r row) bool {
	return c != (Cursor{}) && cmp.Or(
		asTime(r.info.GetStartTime()).Compare(c.Start),
		cmp.Compare(r.Execution.WorkflowID, c.Workflow),
		-cmp.Compare(r.ID, c.Delivery),
	) >= 0
}

// matches are the deliveries that an execution carries and a filter matches.
func (s *Store) matches(ctx context.Context, f postdate.Filter, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]row, error) {
	rows, err := s.rows(ctx, f.Tenant, info, now)
	if err != nil {
		return nil, err
	}
	if f.DueBefore != nil || f.DueAfter != nil {
		if err := s.readDues(ctx, rows); err != nil {
			return nil, err
		}
	}
	rows = slices.DeleteFunc(rows, func(r row) bool {
		return !isDue(f, r) ||
			f.Entity != "" && f.Entity != r.Entity ||
			f.Type != "" && f.Type != r.Type ||
			f.Endpoint != "" && f.Endpoint != r.To.Endpoint ||
			f.State != "" && f.State != r.State ||
			f.AcceptedBefore != nil && r.CreatedAt.After(*f.AcceptedBefore)
	})
	if carriesMany(info) && executions.IsRunning(info) || isUnsettled(info) {
		return s.withoutMoved(ctx, f.Tenant, rows)
	}
	return rows, nil
}

// rows are the deliveries that an execution carries.
func (s *Store) rows(ctx context.Context, tenant string, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]row, error) {
	switch info.GetType().GetName() {
	case protocol.DeliverWorkflow:
		return s.ownRow(tenant, info, now)
	case protocol.RecurrenceWorkflow:
		return s.recurringRow(tenant, info, now)
	case protocol.ScheduleGroupWorkflow:
		return s.scheduleGroupRows(tenant, info, now)
	}
	return s.groupRows(ctx, info, now)
}

// withoutMoved are those of a running group's or line's deliveries that have no
// execution of their own yet: for a while what moves is in both, and shown once. Of a group
// that was ended while some left it those are in both for good.
func (s *Store) withoutMoved(ctx context.Context, tenant string, rows []row) ([]row, error) {
	moved := make([]bool, len(rows))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(maxParallel)
	for i, r := range rows {
		if r.State != postdate.Sending && r.State != postdate.Retrying && !isUnsettled(r.info) {
			continue // it does not move
		}
		asking.Go(func() (err error) {
			moved[i], err = s.executions.Exists(ctx, protocol.DeliveryID(tenant, r.ID))
			return err
		})
	}
	err := asking.Wait()
	kept := rows[:0]
	for i, r := range rows {
		if !moved[i] {
			kept = append(kept, r)
		}
	}
	return kept, err
}

// ownRow is the delivery that an execution of its own carries.
func (s *Store) ownRow(tenant string, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]row, error) {
	owner, id, ok := protocol.ParseDeliveryID(info.GetExecution().GetWorkflowId())
	if !ok || owner != tenant {
		return nil, nil
	}
	r, err := s.describedRow(info, now)
	if err != nil {
		return nil, err
	}
	r.ID = id
	return []row{r}, nil
}

// describedRow is what an execution's memo and its search attributes say.
func (s *Store) describedRow(info *workflowpb.WorkflowExecutionInfo, now time.Time) (row, error) {
	var accepted protocol.Accepted
	if err := s.executions.ReadMemo(info, protocol.MemoAccepted, &accepted); err != nil {
		return row{}, err
	}
	fields := info.GetSearchAttributes().GetIndexedFields()
	r := newRow(info, now)
	r.To, r.CreatedAt = accepted.To, accepted.At
	r.setDue(accepted)
	r.Entity, r.Type = only(fields[protocol.AttrEntity.GetName()]), only(fields[protocol.AttrMessageType.GetName()])
	return r, nil
}

func newRow(info *workflowpb.WorkflowExecutionInfo, now time.Time) row {
	return row{DeliverySummary: postdate.DeliverySummary{
		State: stateOf(info, now), DueAt: asTime(info.GetExecutionTime()), EndedAt: asTime(info.GetCloseTime()), Execution: executionOf(info),
	}, info: info}
}

// only is the one value of a keyword list. SQLite keeps a list as one text with hearts
// between its values, so a value with a heart that was not escaped comes back as several.
func only(payload *commonpb.Payload) string {
	var values []string
	if err := json.Unmarshal(payload.GetData(), &values); err != nil {
		var value string
		_ = json.Unmarshal(payload.GetData(), &value) // unset, it is empty
		return protocol.Unsearchable(value)
	}
	return protocol.Unsearchable(strings.Join(values, "♡"))
}
