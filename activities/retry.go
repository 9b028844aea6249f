package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Retry goes on with a shipment whose last attempt failed, until it is
// delivered or given up. The waits between attempts are the engine's own
// retries of this activity, so they stand in its Web UI and cost no worker
// anything: the first run only reports the failure it was handed, and each one
// after that makes one attempt. The log of attempts travels in the heartbeat
// details, which outlive each failure.
//
// It answers the whole log. Errors of the types [FailureDead], [FailureExpired], [FailureParked],
// [FailureWaiting] and [FailureCancelled] end it, with the whole log as their details.
func (a *Activities) Retry(ctx context.Context, in protocol.RetryInput) (postdate.Attempts, error) {
	log := in.Attempts
	resumed := activity.HasHeartbeatDetails(ctx)
	if resumed {
		if err := activity.GetHeartbeatDetails(ctx, &log); err != nil {
			return nil, fmt.Errorf("read the log of attempts: %w", err)
		}
	}
	if in.Plan.Expired(a.Now()) {
		return nil, protocol.EncodeEnd(postdate.Expired, "expired at "+in.Plan.ExpiresAt.Format(time.RFC3339), log)
	}
	if resumed || log.Next()-1 <= in.Plan.Before { // none of this round was made yet
		made, err := a.attempt(ctx, in.Shipment, log.Next())
		if err != nil {
			return nil, err
		}
		if !protocol.Attempted(made.Outcome) {
			state, reason := protocol.End(made.Outcome)
			return nil, protocol.EncodeEnd(state, made.Because(reason), log)
		}
		log = log.Append(made)
	}
	activity.RecordHeartbeat(ctx, log)

	last := log.Last()
	switch verdict := in.Plan.Decide(last, a.Now()); verdict.State {
	case postdate.Delivered:
		return log, nil
	case postdate.Retrying:
		return nil, protocol.EncodeRetry(last, verdict.Wait)
	default:
		return nil, protocol.EncodeEnd(verdict.State, last.Because(verdict.Reason), log)
	}
}

// AttemptLog reads the log of attempts that a pending retry keeps in its heartbeats. It
// is empty where nothing is pending.
type AttemptLog interface {
	PendingAttempts(ctx context.Context, workflowID, runID string) (postdate.Attempts, error)
}

// Recall answers the log that the calling workflow's pending Retry keeps, for
// the engine does not hand it over when that activity is cancelled.
func (a *Activities) Recall(ctx context.Context) (postdate.Attempts, error) {
	run := activity.GetInfo(ctx).WorkflowExecution
	return a.AttemptLog.PendingAttempts(ctx, run.ID, run.RunID)
}
