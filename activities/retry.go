package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate"
)

// Retries is the input of Retry: a shipment, and how the attempts at it went so far.
type Retries struct {
	Shipment Shipment          `json:"shipment"`
	Plan     postdate.Plan     `json:"plan"`
	Attempts postdate.Attempts `json:"attempts"`
}

// Retry goes on with a shipment whose last attempt failed, until it is
// delivered or given up. The waits between attempts are the engine's own
// retries of this activity, so they stand in its Web UI and cost no worker
// anything: the first run only reports the failure it was handed, and each one
// after that makes one attempt. The log of attempts travels in the heartbeat
// details, which outlive each failure.
//
// It answers the whole log. Errors of the types [Dead], [Expired], [Parked],
// [Waiting] and [Cancelled] end it, with the whole log as their details.
func (a *Activities) Retry(ctx context.Context, in Retries) (postdate.Attempts, error) {
	log := in.Attempts
	resumed := activity.HasHeartbeatDetails(ctx)
	if resumed {
		if err := activity.GetHeartbeatDetails(ctx, &log); err != nil {
			return nil, fmt.Errorf("read the log of attempts: %w", err)
		}
	}
	if in.Plan.Expired(a.Now()) {
		return nil, Ended(postdate.Expired, "expired at "+in.Plan.ExpiresAt.Format(time.RFC3339), log)
	}
	if resumed || log.Next()-1 <= in.Plan.Before { // none of this round was made yet
		made, err := a.attempt(ctx, in.Shipment, log.Next())
		if err != nil {
			return nil, err
		}
		if !made.Outcome.Made() {
			state, reason := made.Outcome.End()
			return nil, Ended(state, made.Because(reason), log)
		}
		log = log.With(made)
	}
	activity.RecordHeartbeat(ctx, log)

	last := log.Last()
	switch verdict := in.Plan.Judge(last, a.Now()); verdict.State {
	case postdate.Delivered:
		return log, nil
	case postdate.Retrying:
		return nil, again(last, verdict.Wait)
	default:
		return nil, Ended(verdict.State, last.Because(verdict.Reason), log)
	}
}

// Recall answers the log that the calling workflow's pending Retry keeps, for
// the engine does not hand it over when that activity is cancelled.
func (a *Activities) Recall(ctx context.Context) (postdate.Attempts, error) {
	run := activity.GetInfo(ctx).WorkflowExecution
	return a.Engine.PendingAttempts(ctx, run.ID, run.RunID)
}
