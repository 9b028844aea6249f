package deliveries

import (
	"context"
	"fmt"

	"github.com/postdate/postdate"
)

// PendingAttempts reads the log of attempts from the heartbeat details of a
// workflow's pending activity. It is empty where nothing is pending.
func (s *Store) PendingAttempts(ctx context.Context, workflowID, runID string) (postdate.Attempts, error) {
	described, err := s.temporal.DescribeWorkflowExecution(ctx, workflowID, runID)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	var log postdate.Attempts
	for _, pending := range described.GetPendingActivities() {
		if pending.GetHeartbeatDetails() == nil {
			continue
		}
		if err := s.executions.Decode(pending.GetHeartbeatDetails(), &log); err != nil {
			return nil, fmt.Errorf("read the attempts of %s: %w", workflowID, err)
		}
	}
	return log, nil
}
