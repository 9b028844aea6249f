package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate"
)

// minSpacing is how far apart at least the attempts at a message are that its receiver has
// put off too often.
const minSpacing = time.Hour

// SpacedReschedulesMetric counts the reschedules that were moved for that.
const SpacedReschedulesMetric = "postdate_spaced_reschedules"

// spaceOut moves an attempt's reschedule that comes too soon, where so many attempts were
// made at the message that its receiver may put it off for ever. What it asked for, and what
// came of that, is recorded with the attempt: a later bound changes nothing that was decided.
func (a *Activities) spaceOut(ctx context.Context, attempt postdate.Attempt) postdate.Attempt {
	soonest := a.Now().Add(minSpacing).UTC().Round(0)
	if attempt.Outcome != postdate.Rescheduled || a.MaxReschedules == 0 || attempt.Number <= a.MaxReschedules ||
		!attempt.RescheduleTo.Before(soonest) {
		return attempt
	}
	attempt.Error = fmt.Sprintf("postdate-reschedule asked for %s: after %d attempts at one message they are an hour apart at least",
		attempt.RescheduleTo.Format(time.RFC3339), a.MaxReschedules)
	attempt.RescheduleTo = soonest
	activity.GetMetricsHandler(ctx).Counter(SpacedReschedulesMetric).Inc(1)
	return attempt
}
