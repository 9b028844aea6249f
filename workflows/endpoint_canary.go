package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// The execution of an endpoint that has a canary compares both sides, drives the canary's
// plan, and rolls it back. What is configured stays with the tenant: each decision is an
// Update of it, whose answer is the endpoint's next settings. So there is one record of who
// goes where, and nothing is lost if this execution dies between the two.

// canaryWakeInterval bounds the time between two decisions while there is a canary.
const canaryWakeInterval = time.Hour

// followCanary begins to count anew for another canary, or another step of its plan.
func (e *endpoint) followCanary(now time.Time) {
	configured := e.Settings.Canary
	switch {
	case !configured.Active(): // what was counted last can still be read
	case e.Canary == nil || e.Canary.ID != configured.ID:
		e.Canary = &protocol.CanaryRun{ID: configured.ID, StepAt: configured.StepAt, RecentAt: now}
	case !e.Canary.StepAt.Equal(configured.StepAt):
		e.Canary.StepAt, e.Canary.RecentAt, e.Canary.EarlierAt = configured.StepAt, now, time.Time{}
		e.Canary.Recent, e.Canary.Earlier = protocol.CanaryCounts{}, protocol.CanaryCounts{}
	}
}

// listenToCanary counts what workers report of both sides.
func (e *endpoint) listenToCanary(ctx workflow.Context) {
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var report protocol.CanaryReport
			if !workflow.GetSignalChannel(ctx, protocol.SignalCanary).Receive(ctx, &report) {
				return
			}
			e.updateSettings(report.Settings)
			e.countCanary(report, workflow.Now(ctx))
			e.markBusy(ctx)
			e.apply(ctx, nil)
		}
	})
}

// countCanary adds a report. Of another canary, or of one that has ended, it is too late.
func (e *endpoint) countCanary(report protocol.CanaryReport, now time.Time) {
	run, configured := e.Canary, e.Settings.Canary
	if run == nil || run.ID != report.Canary || !configured.Active() {
		return
	}
	if now.Sub(run.RecentAt) >= configured.AutoRollback.LookBack()/2 {
		run.Earlier, run.EarlierAt = run.Recent, run.RecentAt
		run.Recent, run.RecentAt = protocol.CanaryCounts{}, now
	}
	run.Recent = run.Recent.Add(report.CanaryCounts)
	run.Total += report.AtCanary.Attempts
	switch reported := report.AtCanary; {
	case reported.Attempts == 0:
	case reported.Succeeded > 0:
		run.Trailing, run.FailingSince = reported.Trailing, time.Time{}
	default:
		run.Trailing += reported.Trailing
	}
	if run.Trailing > 0 && run.FailingSince.IsZero() {
		run.FailingSince = now
	}
}

// decideCanary is what is to be done with the canary now: nil for nothing. While the endpoint
// is not enabled nothing is: its step begins again when it is.
func (e *endpoint) decideCanary(now time.Time) *protocol.ChangeCanary {
	configured, run := e.Settings.Canary, e.Canary
	if e.changing || !e.enabled() || !configured.Active() || run == nil || run.ID != configured.ID {
		return nil
	}
	change := &protocol.ChangeCanary{ID: e.ID, Canary: configured.ID, StepAt: configured.StepAt, Auto: true}
	if reason := run.Worse(configured.AutoRollback, now); reason != "" {
		change.Action, change.Reason = protocol.CanaryRollback, reason
		return change
	}
	ends := configured.StepEnds()
	switch rollback := configured.AutoRollback; {
	case ends.IsZero() || now.Before(ends):
		return nil
	case configured.Step+1 < len(configured.Plan):
		change.Action, change.Step = protocol.CanaryAdvance, configured.Step+1
	case configured.Then != postdate.ThenPromote:
		change.Action, change.Reason = protocol.CanaryHold, "its plan is done"
	case rollback != nil && run.Total < rollback.Minimum:
		change.Action = protocol.CanaryHold
		change.Reason = fmt.Sprintf("its plan is done, but it had %d attempts in all: fewer than %d say too little to promote it", run.Total, rollback.Minimum)
	default:
		change.Action = protocol.CanaryPromote
	}
	return change
}

// changeCanary has the tenant make a change, however long that takes. Where this run ends
// before, the next one decides the same: a change that is made already changes nothing.
func (e *endpoint) changeCanary(change protocol.ChangeCanary) {
	e.changing = true
	ctx := workflow.WithActivityOptions(e.ctx, workflow.ActivityOptions{
		TaskQueue:           protocol.ControlQueue,
		StartToCloseTimeout: 3 * activityGrace,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second},
	})
	e.log().Warn("canary changes", "canary", change.Canary, "action", string(change.Action), "reason", change.Reason)
	workflow.Go(ctx, func(ctx workflow.Context) {
		var settings protocol.EndpointSettings
		err := workflow.ExecuteActivity(ctx, protocol.ChangeCanaryActivity,
			protocol.EndpointCanaryChange{Tenant: e.Tenant, Change: change}).Get(ctx, &settings)
		e.changing = false
		if err == nil {
			e.updateSettings(settings)
		}
		e.apply(ctx, nil)
	})
}

// canaryWake is when to look at the canary next: zero where it has none.
func (e *endpoint) canaryWake(now time.Time) time.Time {
	configured := e.Settings.Canary
	if !configured.Active() {
		return time.Time{}
	}
	wake := now.Add(canaryWakeInterval)
	sooner := func(at time.Time) {
		if at.After(now) && at.Before(wake) {
			wake = at
		}
	}
	sooner(configured.StepEnds())
	if e.Canary != nil && configured.AutoRollback != nil {
		sooner(e.Canary.DeadAt())
	}
	return wake
}

// canaryHealth is the canary beside the primary, as far as this execution knows.
func (e *endpoint) canaryHealth() *postdate.CanaryHealth {
	configured := e.Settings.Canary
	if configured == nil {
		return nil
	}
	h := &postdate.CanaryHealth{ID: configured.ID}
	run := e.Canary
	if run == nil || run.ID != configured.ID {
		run = &protocol.CanaryRun{}
	}
	counts, since := run.Counts()
	h.Primary, h.Canary, h.Since = counts.Primary.Side(), counts.AtCanary.Side(), since
	return h
}
