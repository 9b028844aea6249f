package quotas

import (
	"context"
	"fmt"
	"strings"

	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

type open interface {
	CountOpen(ctx context.Context, condition string) (int, error)
	FirstOpen(ctx context.Context, condition string, n int32) ([]*workflowpb.WorkflowExecutionInfo, error)
}

type reader interface {
	ReadMemo(info *workflowpb.WorkflowExecutionInfo, field string, into any) error
}

const (
	// sampled is how many of a tenant's groups and lines are read to know about how many
	// deliveries each has.
	sampled = 100
	// smallBytes is about what an execution keeps that is in no size class.
	smallBytes = protocol.SmallBytes / 2
)

// counter counts what tenants have in Temporal.
type counter struct{ Executions }

// count counts a tenant's pending messages, and about how many bytes they have.
//
// A schedule and a delivery by itself is an execution. Groups and lines carry several, whose
// number the latest of them tell: with more than [sampled] of them it is an estimate.
//
// Each condition names sizes, since the engine counts by them without reading anything else.
func (c counter) count(ctx context.Context, tenant string) (Amount, error) {
	conditions := map[string]string{
		"own":      ofType(protocol.DeliverWorkflow, protocol.RecurrenceWorkflow),
		"carriers": ofType(protocol.DispatchWorkflow, protocol.LineWorkflow, protocol.ScheduleGroupWorkflow),
	}
	n := make(map[string]int)
	for what, types := range conditions {
		for size, of := range map[string]string{" small": isSmall, " large": isLarge} {
			found, err := c.CountOpen(ctx, executions.Equals(protocol.AttrTenant, tenant)+" AND "+types+" AND "+of)
			if err != nil {
				return Amount{}, fmt.Errorf("count the pending messages of %s: %w", tenant, err)
			}
			n[what+size] = found
		}
	}
	carried, err := c.carried(ctx, executions.Equals(protocol.AttrTenant, tenant)+" AND "+conditions["carriers"], n["carriers small"]+n["carriers large"])
	if err != nil {
		return Amount{}, fmt.Errorf("read the groups and lines of %s: %w", tenant, err)
	}
	large, err := c.bytes(ctx, tenant, n["own large"]+n["carriers large"])
	if err != nil {
		return Amount{}, fmt.Errorf("count the bytes of %s: %w", tenant, err)
	}
	return Amount{
		Messages: int64(n["own small"] + n["own large"] + carried),
		Bytes:    int64(n["own small"]+n["carriers small"])*smallBytes + large,
	}, nil
}

var (
	isSmall = protocol.AttrSize.GetName() + " IS NULL"
	isLarge = protocol.AttrSize.GetName() + " IN (" + quoted(protocol.SizeClassNames()) + ")"
)

// carried is how many deliveries so many groups and lines carry.
func (c counter) carried(ctx context.Context, condition string, several int) (int, error) {
	if several == 0 {
		return 0, nil
	}
	latest, err := c.FirstOpen(ctx, condition, sampled)
	if err != nil || len(latest) == 0 { // they have ended since
		return 0, err
	}
	deliveries := 0
	for _, info := range latest {
		n, err := c.carriedBy(info)
		if err != nil {
			return 0, err
		}
		deliveries += n
	}
	if len(latest) < sampled {
		return deliveries, nil
	}
	return deliveries * max(several, len(latest)) / len(latest), nil
}

// carriedBy is how many deliveries a group or a line carries.
func (c counter) carriedBy(info *workflowpb.WorkflowExecutionInfo) (deliveries int, err error) {
	if info.GetType().GetName() == protocol.ScheduleGroupWorkflow {
		var group protocol.GroupedSchedules
		err = c.ReadMemo(info, protocol.MemoSchedules, &group)
		for _, schedule := range group.Schedules {
			if schedule.CancelledAt.IsZero() {
				deliveries++
			}
		}
		return deliveries, err
	}
	var group protocol.Group
	err = c.ReadMemo(info, protocol.MemoGroup, &group)
	for _, event := range group.Events {
		deliveries += len(event.Endpoints)
	}
	return deliveries, err
}

// bytes is about how many bytes a tenant's large executions keep, of which there are so many.
func (c counter) bytes(ctx context.Context, tenant string, left int) (bytes int64, err error) {
	condition := executions.Equals(protocol.AttrTenant, tenant) + " AND " +
		ofType(protocol.DeliverWorkflow, protocol.RecurrenceWorkflow, protocol.DispatchWorkflow, protocol.LineWorkflow, protocol.ScheduleGroupWorkflow)
	for _, class := range protocol.SizeClasses() {
		if left <= 0 {
			break
		}
		n, err := c.CountOpen(ctx, condition+" AND "+executions.Equals(protocol.AttrSize, class.Name()))
		if err != nil {
			return 0, err
		}
		bytes, left = bytes+int64(n)*class.Bytes(), left-n
	}
	return bytes, nil
}

func ofType(workflows ...string) string { return "WorkflowType IN (" + quoted(workflows) + ")" }

func quoted(values []string) string {
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = executions.Quote(value)
	}
	return strings.Join(all, ", ")
}
