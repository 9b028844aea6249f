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
	FirstOpen(ctx context.Context, condition string, n int) ([]*workflowpb.WorkflowExecutionInfo, error)
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
func (c counter) count(ctx context.Context, tenant string) (Amount, error) {
	ofTenant := executions.Equals(protocol.AttrTenant, tenant)
	own := ofTenant + " AND " + ofType(protocol.DeliverWorkflow, protocol.RecurrenceWorkflow)
	carriers := ofTenant + " AND " + ofType(protocol.DispatchWorkflow, protocol.LineWorkflow)
	all := ofTenant + " AND " + ofType(protocol.DeliverWorkflow, protocol.RecurrenceWorkflow, protocol.DispatchWorkflow, protocol.LineWorkflow)
	single, err := c.CountOpen(ctx, own)
	if err != nil {
		return Amount{}, fmt.Errorf("count the pending messages of %s: %w", tenant, err)
	}
	several, err := c.CountOpen(ctx, carriers)
	if err != nil {
		return Amount{}, fmt.Errorf("count the groups and lines of %s: %w", tenant, err)
	}
	carried, err := c.carried(ctx, carriers, several)
	if err != nil {
		return Amount{}, fmt.Errorf("read the groups and lines of %s: %w", tenant, err)
	}
	large, bytes, err := c.bytes(ctx, all, single+several)
	if err != nil {
		return Amount{}, fmt.Errorf("count the bytes of %s: %w", tenant, err)
	}
	return Amount{Messages: int64(single + carried), Bytes: bytes + int64(max(0, single+several-large))*smallBytes}, nil
}

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
		var group protocol.Group
		if err := c.ReadMemo(info, protocol.MemoGroup, &group); err != nil {
			return 0, err
		}
		for _, event := range group.Events {
			deliveries += len(event.Endpoints)
		}
	}
	if len(latest) < sampled {
		return deliveries, nil
	}
	return deliveries * max(several, len(latest)) / len(latest), nil
}

// bytes is about how many bytes the large ones of so many executions keep, and how many those
// are.
func (c counter) bytes(ctx context.Context, condition string, executing int) (large int, bytes int64, err error) {
	if executing == 0 {
		return 0, 0, nil
	}
	left, err := c.CountOpen(ctx, condition+" AND "+protocol.AttrSize.GetName()+" IS NOT NULL")
	if err != nil {
		return 0, 0, err
	}
	for _, class := range protocol.SizeClasses() {
		if left <= 0 {
			break
		}
		n, err := c.CountOpen(ctx, condition+" AND "+executions.Equals(protocol.AttrSize, class.Name()))
		if err != nil {
			return 0, 0, err
		}
		large, bytes, left = large+n, bytes+int64(n)*class.Bytes(), left-n
	}
	return large, bytes, nil
}

func ofType(workflows ...string) string {
	quoted := make([]string, len(workflows))
	for i, name := range workflows {
		quoted[i] = executions.Quote(name)
	}
	return "WorkflowType IN (" + strings.Join(quoted, ", ") + ")"
}
