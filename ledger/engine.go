package ledger

import (
	"context"
	"fmt"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// What activities ask of the engine, a ledger answers.
var _ activities.Engine = (*Ledger)(nil)

// PendingAttempts reads the log of attempts out of the heartbeat details of a
// workflow's pending activity.
func (l *Ledger) PendingAttempts(ctx context.Context, workflowID, runID string) (postdate.Attempts, error) {
	described, err := l.Temporal.DescribeWorkflowExecution(ctx, workflowID, runID)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	var log postdate.Attempts
	for _, pending := range described.GetPendingActivities() {
		if pending.GetHeartbeatDetails() == nil {
			continue
		}
		if err := l.DataConverter.FromPayloads(pending.GetHeartbeatDetails(), &log); err != nil {
			return nil, fmt.Errorf("read the attempts of %s: %w", workflowID, err)
		}
	}
	return log, nil
}
