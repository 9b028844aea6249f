package workflows

import (
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// beginCanary begins the canary that e was given, in the place of the one before it.
func (c *change) beginCanary(e *postdate.Endpoint, before *postdate.Canary) {
	if e.Canary != nil {
		e.Canary = e.Canary.Begun(before, c.now)
	}
}

// resumeCanary begins the step of a canary again: it waited for its endpoint to be enabled.
func (c *change) resumeCanary(e *postdate.Endpoint) {
	if e.Canary.Active() {
		resumed := *e.Canary
		resumed.StepAt = c.now
		e.Canary = &resumed
	}
}

// changeCanary does something with a canary. What is done already, or was decided about an
// earlier state of it, changes nothing.
func (c *change) changeCanary(in protocol.ChangeCanary) error {
	e, err := c.endpoint(in.ID)
	switch {
	case err != nil:
		return err
	case e.Canary == nil:
		return postdate.Errorf(postdate.NotFound, "", "endpoint %s has no canary", in.ID)
	case in.Canary != "" && in.Canary != e.Canary.ID, !in.StepAt.IsZero() && !in.StepAt.Equal(e.Canary.StepAt):
		return nil
	}
	canary := *e.Canary // what was read of the tenant before stays as it was
	switch in.Action {
	case protocol.CanaryAdvance:
		if canary.State != postdate.CanaryRunning || in.Step != canary.Step+1 || in.Step >= len(canary.Plan) {
			return nil
		}
		canary = *canary.Advanced(in.Step, c.now)
	case protocol.CanaryHold:
		err = c.endCanary(&canary, in, postdate.CanaryHeld)
	case protocol.CanaryRollback:
		err = c.endCanary(&canary, in, postdate.CanaryRolledBack)
	case protocol.CanaryPromote:
		err = c.endCanary(&canary, in, postdate.CanaryPromoted)
	default:
		return postdate.Errorf(postdate.Invalid, "/action", "%q is nothing that is done with a canary", in.Action)
	}
	if err != nil || canary.State == e.Canary.State && in.Action != protocol.CanaryAdvance {
		return err
	}
	e.Canary = &canary
	c.markUpdated(e)
	switch canary.State {
	case postdate.CanaryPromoted:
		e.URL = canary.URL
		c.recovered(e) // what failed was the url before
	case postdate.CanaryRolledBack:
		if in.Auto {
			c.announce(postdate.EndpointCanaryRolledBack, *e, canary.Reason)
		}
	case postdate.CanaryRunning, postdate.CanaryHeld:
	}
	return nil
}

// endCanary gives the canary another state. From its ends nothing leads back.
func (c *change) endCanary(canary *postdate.Canary, in protocol.ChangeCanary, state postdate.CanaryState) error {
	switch {
	case canary.State == state:
		return nil
	case !canary.Active() && in.Auto:
		return nil // somebody came first
	case !canary.Active():
		return postdate.Errorf(postdate.Conflict, "", "the canary is %s already", strings.ReplaceAll(string(canary.State), "_", " "))
	}
	canary.State, canary.Reason = state, reason(in.Reason)
	if state != postdate.CanaryHeld {
		canary.EndedAt = c.now
	}
	return nil
}

// noteCanary notes that the executions of an endpoint are to know what became of its canary.
func (t *tenant) noteCanary(c *change) {
	if c.Version == t.Tenant.Version || c.result.Endpoint == nil {
		return
	}
	id := c.result.Endpoint.ID
	for _, configured := range []*postdate.Tenant{&t.Tenant, &c.Tenant} {
		e, _ := configured.Endpoint(id)
		ref := protocol.CanaryRef{Tenant: t.Name, Endpoint: id}
		if e.Canary.Active() {
			ref.Canary = e.Canary.ID
		}
		waiting := t.Canaries
		if t.signalling { // the first may be signalled with what was configured before
			waiting = waiting[1:]
		}
		if ref.Canary != "" && !slices.Contains(waiting, ref) {
			t.Canaries = append(t.Canaries, ref)
		}
	}
}

// signalCanaries has the executions of endpoints know, one after another, however long that
// takes. What is not done when this run ends the next one does.
func (t *tenant) signalCanaries(ctx workflow.Context) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: activityGrace,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second},
	})
	for {
		if workflow.Await(ctx, func() bool { return len(t.Canaries) > 0 }) != nil {
			return
		}
		// What changes meanwhile is another entry.
		next := t.Canaries[0]
		t.signalling = true
		_ = workflow.ExecuteActivity(ctx, protocol.SignalEndpointActivity, next).Get(ctx, nil) // Temporal retries it until it is done
		t.Canaries, t.signalling = t.Canaries[1:], false
	}
}
