package workflows

import (
	"encoding/json"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// log is silent during replay. The end of a problem is logged at the same level as its
// beginning, so that both are seen.
func (e *endpoint) log() log.Logger {
	return log.With(workflow.GetLogger(e.ctx), "tenant", e.Tenant, "endpoint", e.ID)
}

// logBreaker logs that the breaker opened, closed, or stays open.
func (e *endpoint) logBreaker(before throttle.Throttle) {
	was, is := before.Breaker.OpenUntil, e.Throttle.Breaker.OpenUntil
	switch {
	case was.Equal(is):
	case is.IsZero():
		e.log().Warn("circuit breaker closed", "reason", "the receiver answers again", "waiting", e.queue.waiting)
	case was.IsZero():
		e.log().Warn("circuit breaker opened", "reason", tooManyFailed, "until", is.UTC().Format(time.RFC3339), "waiting", e.queue.waiting)
	default:
		e.log().Warn("circuit breaker stays open", "reason", "the attempt made to try the receiver failed",
			"until", is.UTC().Format(time.RFC3339), "waiting", e.queue.waiting)
	}
}

const (
	tooManyFailed = "too many attempts failed"
	tooMuch       = "more waits than can be sent in time"
)

// overloadNews is the data of a postdate.EndpointOverloaded event.
type overloadNews struct {
	Tenant        string    `json:"tenant"`
	Endpoint      string    `json:"endpoint"`
	Reason        string    `json:"reason"`
	Waiting       int       `json:"waiting"`
	OldestWaiting time.Time `json:"oldest_waiting"`
	DrainedAt     time.Time `json:"drained_at,omitzero"`
}

// setOverloaded sets whether the endpoint is overloaded. It announces the beginning.
func (e *endpoint) setOverloaded(is bool, now time.Time) {
	was := !e.OverloadedAt.IsZero()
	switch {
	case is == was:
		return
	case was:
		e.log().Warn("endpoint is no longer overloaded", "waiting", e.queue.waiting, "since", e.OverloadedAt.UTC().Format(time.RFC3339))
		e.OverloadedAt = time.Time{}
		return
	}
	e.OverloadedAt = now
	drained := e.drained(e.queue.waiting, now)
	e.log().Warn("endpoint is overloaded", "reason", tooMuch, "waiting", e.queue.waiting, "drained_at", drained.Format(time.RFC3339))
	if e.Tenant == postdate.OperatorTenant || e.News != nil || e.queue.len() == 0 {
		return
	}
	news := overloadNews{
		Tenant: e.Tenant, Endpoint: e.ID, Waiting: e.queue.waiting, OldestWaiting: time.UnixMilli(e.queue.first().Since).UTC(),
		Reason: tooMuch, DrainedAt: drained,
	}
	data, err := json.Marshal(news) //workflowcheck:ignore
	if err != nil {
		return // texts, numbers and times can always be encoded
	}
	e.News = &protocol.Announcement{
		ID:     protocol.AnnouncementID(postdate.EndpointOverloaded, e.Tenant, e.ID, now.UTC().Format(time.RFC3339Nano)),
		Tenant: e.Tenant, Type: postdate.EndpointOverloaded, At: now, Data: data,
	}
	e.announce(*e.News)
}

// announce publishes news in the background. What is not published when this run ends is
// published by the next.
func (e *endpoint) announce(news protocol.Announcement) {
	ctx := workflow.WithActivityOptions(e.ctx, workflow.ActivityOptions{
		TaskQueue:           protocol.ControlQueue,
		StartToCloseTimeout: 3 * activityGrace,
		HeartbeatTimeout:    protocol.HeartbeatTimeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: maxAnnounceAttempts,
		},
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		if err := workflow.ExecuteActivity(ctx, protocol.AnnounceActivity, news).Get(ctx, nil); err != nil {
			workflow.GetLogger(ctx).Warn("failed to announce an overload", "tenant", e.Tenant, "endpoint", e.ID, "error", err)
		}
		e.News = nil
	})
}
