package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Retry retries a delivery whose last attempt failed, until it is delivered or given up.
// The waits between attempts are Temporal's own retries of this activity, so they show in
// its Web UI and occupy no worker: the first run only reports the failure of the last
// attempt, and each further run makes one attempt. The log of attempts is kept in the
// heartbeat details, which outlive each failure.
//
// It returns the whole log. Errors of the types [protocol.FailureDead],
// [protocol.FailureExpired], [protocol.FailureParked], [protocol.FailureWaiting] and
// [protocol.FailureCancelled] end it, with the whole log as their details.
func (a *Activities) Retry(ctx context.Context, in protocol.RetryInput) (postdate.Attempts, error) {
	log, err := a.retry(ctx, in)
	return log, backOff(err, activity.GetInfo(ctx).Attempt)
}

func (a *Activities) retry(ctx context.Context, in protocol.RetryInput) (postdate.Attempts, error) {
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
		stop := startHeartbeats(ctx, heartbeatInterval, func() any { return log })
		task := in.Shipment
		task.Took = protocol.TookOf(log, in.Plan.Before)
		attempt, err := a.attempt(ctx, task, log.Next())
		stop()
		if err != nil {
			return nil, err
		}
		if !protocol.Attempted(attempt.Outcome) {
			state, reason := protocol.End(attempt.Outcome)
			return nil, protocol.EncodeEnd(state, attempt.Because(reason), log)
		}
		log = log.Append(attempt)
	}
	activity.RecordHeartbeat(context.WithoutCancel(ctx), log)

	last := log.Last()
	switch decision := beganAt(in.Plan, log).Decide(last, a.Now()); decision.State {
	case postdate.Delivered:
		return log, nil
	case postdate.Retrying:
		return nil, protocol.EncodeRetry(last, decision.Wait)
	default:
		return nil, protocol.EncodeEnd(decision.State, last.Because(decision.Reason), log)
	}
}

// beganAt is the plan of a round that began with its first attempt: what it waited for a
// permit before is not the receiver's fault.
func beganAt(plan postdate.RetryPlan, log postdate.Attempts) postdate.RetryPlan {
	for _, attempt := range log {
		if attempt.Number == plan.Before+1 && attempt.At.After(plan.Since) {
			plan.Since = attempt.At
		}
	}
	return plan
}

// backOff gives err, if it is a failure of our own, the wait until the run after that of
// this number: a second first, at most a minute. How soon Temporal continues after a
// worker has died is no matter of it.
func backOff(err error, number int32) error {
	if _, decided := errors.AsType[*temporal.ApplicationError](err); err == nil || decided || errors.Is(err, context.Canceled) {
		return err
	}
	wait := min(time.Minute, time.Second<<min(number-1, 6))
	return protocol.EncodeInternal(err, wait)
}

// AttemptLog reads the log of attempts that a pending Retry keeps in its heartbeats.
type AttemptLog interface {
	// PendingAttempts returns it: empty where no Retry is pending.
	PendingAttempts(ctx context.Context, workflowID, runID string) (postdate.Attempts, error)
}

// Recall returns the attempts of the calling run that its history does not have: the log
// that its pending Retry keeps, which Temporal does not return when that activity is
// cancelled, or else the attempt that this process has made for it in a workflow task that
// Temporal repeats.
func (a *Activities) Recall(ctx context.Context) (postdate.Attempts, error) {
	run := activity.GetInfo(ctx).WorkflowExecution
	log, err := a.AttemptLog.PendingAttempts(ctx, run.ID, run.RunID)
	if err != nil || len(log) > 0 {
		return log, err
	}
	if attempt, made := a.sent.recall(ctx, run.RunID); made {
		log = postdate.Attempts{attempt}
	}
	return log, nil
}
