package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// capture has w keep where it is sent to, and how much time there is.
func (f *fakes) capture() (to *postdate.Target, left *time.Duration) {
	to, left = new(postdate.Target), new(time.Duration)
	f.answer = func(ctx context.Context, _ postdate.Message, target postdate.Target) (postdate.Attempt, error) {
		deadline, _ := ctx.Deadline()
		*to, *left = target, time.Until(deadline)
		return postdate.Attempt{At: now, Outcome: postdate.Failed, Status: 500}, nil
	}
	return to, left
}

func TestSend_SignsToABareURLWithTheTenantsSecrets(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	to, left := f.capture()
	s := task(postdate.Destination{URL: "https://b.example/hooks"})
	s.Timeout = postdate.Duration(3 * time.Second)
	made := f.send(s)
	require.Equal(t, 1, made.Number)
	require.Equal(t, postdate.Target{
		URL: "https://b.example/hooks", Mode: postdate.Standard, Secrets: []postdate.Secret{"whsec_new"},
		DeliveryID: s.ID(),
	}, *to)
	require.InDelta(t, 3, left.Seconds(), 1)
	require.Empty(t, f.reported)
}

func TestSend_PublishesToABareStreamAsACloudEvent(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	to, _ := f.capture()
	s := task(postdate.Destination{Stream: "payments"})
	s.ExpiresAt = now.Add(time.Hour)
	f.send(s)
	require.Equal(t, postdate.Target{
		Stream: "payments", Mode: postdate.CloudEventsBinary, Secrets: []postdate.Secret{"whsec_new"},
		DeliveryID: s.ID(), ExpiresAt: s.ExpiresAt,
	}, *to)
}

func TestSend_AsksTheDirectoryForAnEndpoint(t *testing.T) {
	t.Parallel()
	e := endpoint("ep_1", postdate.Enabled)
	e.Timeout = postdate.Duration(4 * time.Second)
	f := newFakes(t, e)
	to, left := f.capture()
	s := task(postdate.Destination{Endpoint: "ep_1"})
	s.DeliveryID = "evt_1.ep_1"
	require.Equal(t, postdate.Failed, f.send(s).Outcome)
	want := e.Target(now)
	want.DeliveryID = "evt_1.ep_1"
	require.Equal(t, want, *to)
	require.InDelta(t, 4, left.Seconds(), 1)
	require.Equal(t, map[string]postdate.Outcome{"ep_1": postdate.Failed}, f.reported)

	line := f.line()
	require.Equal(t, "WARN", line["level"])
	require.Equal(t, "ep_1.example", line["host"])
	require.Equal(t, "ep_1", line["endpoint"])
	require.Equal(t, "evt_1.ep_1", line["delivery"])
	require.InDelta(t, 1000, line["late_ms"], 0)
	require.NotContains(t, f.log.String(), "secret-path")
	require.NotContains(t, f.log.String(), "billing")
}

func TestSend_LogsWhichAttemptItIs(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	s := task(postdate.Destination{Endpoint: "ep_1"})
	s.Number = 2
	require.Equal(t, 2, f.send(s).Number)
	require.InDelta(t, 2, f.line()["attempt"], 0)
}

func TestSend_WaitsForNobodyLongerThanTheirTimeout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		shipment, endpoint, want time.Duration
	}{
		"the default":          {0, 0, postdate.DefaultTimeout},
		"the endpoint's":       {0, time.Minute, time.Minute},
		"the shipment's first": {2 * time.Second, time.Minute, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint("ep_1", postdate.Enabled)
			e.Timeout = postdate.Duration(test.endpoint)
			f := newFakes(t, e)
			_, left := f.capture()
			s := task(postdate.Destination{Endpoint: "ep_1"})
			s.Timeout = postdate.Duration(test.shipment)
			f.send(s)
			require.InDelta(t, test.want.Seconds(), left.Seconds(), 1)
		})
	}
}

func TestSend_MakesNoAttemptAtAnEndpointThatIsNotEnabled(t *testing.T) {
	t.Parallel()
	disabled := endpoint("ep_2", postdate.Disabled)
	disabled.Reason = "HTTP 410 Gone"
	f := newFakes(t, endpoint("ep_1", postdate.Paused), disabled)
	to, _ := f.capture()
	for id, want := range map[string]postdate.Attempt{
		"ep_1": {Outcome: protocol.NotEnabled, Error: "paused"},
		"ep_2": {Outcome: protocol.NotEnabled, Error: "disabled, HTTP 410 Gone"},
		"ep_3": {Outcome: protocol.EndpointDeleted},
	} {
		want.Number, want.At = 1, now
		require.Equal(t, want, f.send(task(postdate.Destination{Endpoint: id})))
	}
	require.Zero(t, *to)
	require.Empty(t, f.reported)

	test := task(postdate.Destination{Endpoint: "ep_1"})
	test.Test = true
	require.Equal(t, postdate.Failed, f.send(test).Outcome)
}

func TestSend_PublishesWhereNoDestinationIsNamed(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	s := task(postdate.Destination{})
	made := f.send(s)
	require.Equal(t, postdate.Attempt{Number: 1, At: now, Outcome: postdate.Accepted, Response: "published to 1 endpoints"}, made)
	require.Equal(t, []postdate.Event{{
		ID: "evt_1", Type: "invoice.paid", Entity: "customer_42", Data: s.Message.Data, Timestamp: &s.DueAt,
	}}, f.published)
}

func TestSend_FailsForAFaultOfOurOwn(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.fault, f.refusal = errOurs, errOurs
	require.ErrorContains(t, f.run(protocol.SendActivity, task(postdate.Destination{Endpoint: "ep_1"}), nil), errOurs.Error())
	require.Equal(t, "ERROR", f.line()["level"])
	require.ErrorContains(t, f.run(protocol.SendActivity, task(postdate.Destination{}), nil), errOurs.Error())
	require.Empty(t, f.reported)
}

func TestRetry_EndsWhereNoAttemptCanBeMade(t *testing.T) {
	t.Parallel()
	for id, test := range map[string]struct {
		state  postdate.State
		reason string
	}{
		"ep_1": {postdate.Parked, "the endpoint is not enabled: paused"},
		"ep_2": {postdate.Cancelled, "the endpoint was deleted"},
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, endpoint("ep_1", postdate.Paused))
			log := postdate.Attempts{{Number: 1, Outcome: postdate.Failed, Status: 500}}
			f.SetHeartbeatDetails(log)
			err := f.run(protocol.RetryActivity, protocol.RetryInput{
				Shipment: task(postdate.Destination{Endpoint: id}), Plan: postdate.RetryPlan{Retry: postdate.Retry{}.WithDefaults()},
			}, nil)
			state, reason, kept := protocol.DecodeEnd(err, nil)
			require.Equal(t, test.state, state)
			require.Equal(t, test.reason, reason)
			require.Equal(t, log, kept)
		})
	}
}

// A delivery that was tried before, and now could not be tried for a fault of our
// own, begins its round with an attempt.
func TestRetry_MakesTheFirstAttemptOfARound(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	earlier := postdate.Attempts{{Number: 1, Outcome: postdate.Gone, Status: 410}}
	var log postdate.Attempts
	require.NoError(t, f.run(protocol.RetryActivity, protocol.RetryInput{
		Shipment: task(postdate.Destination{URL: "https://b.example/hooks"}), Attempts: earlier,
		Plan: postdate.RetryPlan{Retry: postdate.Retry{}.WithDefaults(), Since: now, Before: 1},
	}, &log))
	require.Len(t, log, 2)
	require.Equal(t, postdate.Accepted, log.Last().Outcome)
}

func TestSend_KnowsAnEndpointThatWasMadeElsewhereJustNow(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.made = []postdate.Endpoint{endpoint("ep_new", postdate.Enabled)}
	var made postdate.Attempt
	require.NoError(t, f.run(protocol.SendActivity, task(postdate.Destination{Endpoint: "ep_new"}), &made))
	require.Equal(t, postdate.Accepted, made.Outcome)
}

// The operator's log says what happened in our words: what a receiver says is the tenant's to
// read.
func TestSend_KeepsReceiversWordsOutOfTheLog(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		return postdate.Attempt{
			At: now, Outcome: postdate.Accepted, Status: 200, Response: "words of the answer",
			Error: `postdate-reschedule was not understood: "words of the header" is neither a time nor a duration`,
		}, nil
	}
	made := f.send(task(postdate.Destination{URL: "https://b.example/hooks"}))
	require.Contains(t, made.Error, "words of the header")
	require.NotContains(t, f.log.String(), "words of")
	require.Contains(t, f.log.String(), `"error":"postdate-reschedule was not understood"`)
}

// burstRate keeps what is observed of bursts.
type burstRate struct {
	perSecond []int
	late      []time.Duration
}

func (b *burstRate) Observe(perSecond int, late time.Duration) {
	b.perSecond, b.late = append(b.perSecond, perSecond), append(b.late, late)
}

// Slow receivers, and permits that do not come, do not make the workers slow.
func TestSend_ObservesHowLateOneOfABurstBegins(t *testing.T) {
	t.Parallel()
	f, observed := newFakes(t, endpoint("ep_1", postdate.Enabled)), new(burstRate)
	f.activities.BurstRate = observed
	f.permits = func(throttle.PermitRequest) bool {
		f.passed += time.Hour
		return true
	}
	s := task(postdate.Destination{Endpoint: "ep_1"})
	f.send(s)
	require.Empty(t, observed.late, "it is not one of a burst")
	for _, late := range []time.Duration{2 * time.Second, -100 * time.Millisecond, -2 * time.Second} {
		f.passed = 0
		s.Burst = &protocol.BurstStart{StartsAt: now.Add(-late), PerSecond: 300}
		f.send(s)
	}
	require.Equal(t, []int{300, 300}, observed.perSecond, "the last was woken by something else")
	require.Equal(t, []time.Duration{2 * time.Second, -100 * time.Millisecond}, observed.late)
}
