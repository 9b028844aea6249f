package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// Row is a delivery as lists show it.
type Row struct {
	ID     string
	State  postdate.State
	Entity string
	Type   string
	To     postdate.Destination
	// DueAt is when the engine takes it up, or took it up.
	DueAt     time.Time
	CreatedAt time.Time
	EndedAt   time.Time
	// Info is the engine's, of the execution that carries it.
	Info *workflowpb.WorkflowExecutionInfo
}

// List lists up to limit deliveries that filter means, those first whose
// executions were started last, from behind after where that is given. The
// position that it answers is that of the last one, where more follow.
//
// That order is fixed whatever becomes of a delivery, so a walk through the
// pages neither repeats nor skips one. What is started anew stands at its new
// place, as does what leaves its group.
func (l *Ledger) List(ctx context.Context, filter postdate.Filter, after *Position, limit int) ([]Row, *Position, error) {
	rows := make([]Row, 0, limit)
	more := false
	walking, err := l.each(ctx, filter, after, limit, func(row Row) bool {
		if len(rows) == limit {
			more = true
			return false
		}
		rows = append(rows, row)
		return true
	})
	if err != nil || !more {
		return rows, nil, err
	}
	last := rows[len(rows)-1]
	return rows, &Position{
		Start:    asTime(last.Info.GetStartTime()),
		Workflow: last.Info.GetExecution().GetWorkflowId(),
		Delivery: last.ID,
		Window:   walking.window,
	}, nil
}

// Count counts the deliveries that filter means.
func (l *Ledger) Count(ctx context.Context, filter postdate.Filter) (int, error) {
	count := 0
	_, err := l.each(ctx, filter, nil, mostRows/2, func(Row) bool { count++; return true })
	return count, err
}

// Find lists the ids of the deliveries that filter means, oldest first.
func (l *Ledger) Find(ctx context.Context, filter postdate.Filter) ([]string, error) {
	var ids []string
	_, err := l.each(ctx, filter, nil, mostRows/2, func(row Row) bool {
		ids = append(ids, row.ID)
		return true
	})
	slices.Reverse(ids)
	return ids, err
}

// each calls visit with one delivery after another that filter means, latest
// first, as long as it answers true. It wants about so many.
func (l *Ledger) each(ctx context.Context, filter postdate.Filter, after *Position, wanted int, visit func(Row) bool) (*walk, error) {
	w := &walk{Ledger: l, filter: filter, now: l.Now(), window: firstWindow, wanted: wanted}
	if after != nil {
		w.until, w.window = after.Start, cmp.Or(after.Window, firstWindow)
	}
	for {
		found, err := w.next(ctx)
		if err != nil || len(found) == 0 {
			return w, err
		}
		going, err := w.visit(ctx, found, func(row Row) bool { return after.passed(row) || visit(row) })
		if err != nil || !going {
			return w, err
		}
	}
}

// visit calls do with what executions carry, one delivery after another, as long
// as it answers true.
func (w *walk) visit(ctx context.Context, found []*workflowpb.WorkflowExecutionInfo, do func(Row) bool) (going bool, err error) {
	newest := make(map[string]*workflowpb.WorkflowExecutionInfo)
	for _, info := range slices.Backward(found) {
		newest[info.GetExecution().GetWorkflowId()] = info
	}
	for _, info := range found {
		if newest[info.GetExecution().GetWorkflowId()] != info {
			continue // it was retried, and the engine is about to delete this run
		}
		rows, err := w.rows(ctx, w.filter, info, w.now)
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			if !do(row) {
				return false, nil
			}
		}
	}
	return true, nil
}

// passed tells whether row comes before p in the order of lists, or stands at it.
func (p *Position) passed(row Row) bool {
	return p != nil && cmp.Or(
		asTime(row.Info.GetStartTime()).Compare(p.Start),
		cmp.Compare(row.Info.GetExecution().GetWorkflowId(), p.Workflow),
		-cmp.Compare(row.ID, p.Delivery),
	) >= 0
}

// rows are the deliveries that an execution carries, those which filter means.
func (l *Ledger) rows(ctx context.Context, f postdate.Filter, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]Row, error) {
	all, err := l.allRows(ctx, f.Tenant, info, now)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(row Row) bool {
		return f.Entity != "" && f.Entity != row.Entity ||
			f.Type != "" && f.Type != row.Type ||
			f.Endpoint != "" && f.Endpoint != row.To.Endpoint ||
			f.State != "" && f.State != row.State ||
			f.AcceptedBefore != nil && row.CreatedAt.After(*f.AcceptedBefore)
	})
	if info.GetType().GetName() != workflows.DeliverName && info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return l.staying(ctx, f.Tenant, all)
	}
	return all, nil
}

// allRows are the deliveries that an execution carries.
func (l *Ledger) allRows(ctx context.Context, tenant string, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]Row, error) {
	if info.GetType().GetName() == workflows.DeliverName {
		return l.row(tenant, info, now)
	}
	return l.groupRows(ctx, info, now)
}

// staying are those of a running group's or line's deliveries that have no
// execution of their own yet: for a while what leaves is in both, and shown once.
func (l *Ledger) staying(ctx context.Context, tenant string, rows []Row) ([]Row, error) {
	left := make([]bool, len(rows))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(parallel)
	for i, row := range rows {
		if row.State != postdate.Sending && row.State != postdate.Retrying {
			continue // it does not leave
		}
		asking.Go(func() (err error) {
			left[i], err = l.Started(ctx, tenant, row.ID)
			return err
		})
	}
	err := asking.Wait()
	stay := rows[:0]
	for i, row := range rows {
		if !left[i] {
			stay = append(stay, row)
		}
	}
	return stay, err
}

// row is the delivery that an execution of its own carries.
func (l *Ledger) row(tenant string, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]Row, error) {
	owner, id, ok := workflows.ParseDeliveryID(info.GetExecution().GetWorkflowId())
	if !ok || owner != tenant {
		return nil, nil
	}
	var told workflows.Accepted
	if err := l.readMemo(info, workflows.MemoAccepted, &told); err != nil {
		return nil, err
	}
	fields := info.GetSearchAttributes().GetIndexedFields()
	row := newRow(info, now)
	row.ID, row.To, row.CreatedAt = id, told.To, told.At
	row.Entity, row.Type = only(fields[workflows.Entity.GetName()]), only(fields[workflows.MessageType.GetName()])
	return []Row{row}, nil
}

func newRow(info *workflowpb.WorkflowExecutionInfo, now time.Time) Row {
	return Row{
		State: stateOf(info, now), DueAt: asTime(info.GetExecutionTime()), EndedAt: asTime(info.GetCloseTime()), Info: info,
	}
}

// only is the one value of a keyword list. SQLite keeps a list as one text with
// hearts between its values, so a value that has a heart comes back as several.
func only(payload *commonpb.Payload) string {
	var values []string
	if err := json.Unmarshal(payload.GetData(), &values); err != nil {
		var value string
		_ = json.Unmarshal(payload.GetData(), &value) // unset, it is empty
		return value
	}
	return strings.Join(values, "♡")
}
