package ledger

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// StartSweep has one thing done to all deliveries that a filter means, whoever
// waits for it. Where its id is taken it answers [ErrExists].
func (l *Ledger) StartSweep(ctx context.Context, tenant, id string, in activities.SweepInput) error {
	_, err := l.execute(ctx, workflows.SweepOptions(tenant, id), workflows.SweepName, in)
	return err
}

// LookSweep tells how far a sweep is, and whether it has finished.
func (l *Ledger) LookSweep(ctx context.Context, tenant, id string) (progress activities.SweepProgress, finished bool, err error) {
	if err := postdate.ValidateID("/id", id); err != nil {
		return progress, false, err
	}
	workflowID := workflows.SweepID(tenant, id)
	described, err := l.describe(ctx, workflowID, id)
	if err != nil {
		return progress, false, err
	}
	info := described.GetWorkflowExecutionInfo()
	if info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		for _, pending := range described.GetPendingActivities() {
			if details := pending.GetHeartbeatDetails(); details != nil {
				err = errors.Join(err, l.DataConverter.FromPayloads(details, &progress))
			}
		}
		return progress, false, err
	}
	end, err := l.lastEvent(ctx, info.GetExecution())
	if err != nil {
		return progress, true, fmt.Errorf("read the end of %s: %w", workflowID, err)
	}
	if result := end.GetWorkflowExecutionCompletedEventAttributes().GetResult(); result != nil {
		err = l.DataConverter.FromPayloads(result, &progress)
	}
	return progress, true, err
}
