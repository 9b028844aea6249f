package workflows_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// handed makes of a delivery one that a group hands over after an attempt.
func handed(first postdate.Attempt) func(*protocol.DeliverInput) {
	return func(in *protocol.DeliverInput) {
		toEndpoint(in)
		first.At = start
		in.Attempts, in.Handed = postdate.Attempts{}.Append(first), true
	}
}

func TestDeliver_GoesOnFromTheAttemptOfItsGroup(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(503))
	e.directory.set(postdate.Enabled)
	e.deliver(0, handed(failed(500)))
	log := e.requireDelivered()
	require.Equal(t, []time.Duration{5 * time.Second, 5*time.Minute + 5*time.Second}, e.times())
	require.Equal(t, []int{500, 503, 200}, []int{log[0].Status, log[1].Status, log[2].Status})
	require.Equal(t, 3, log.Last().Number)
}

func TestDeliver_CountsTheAttemptOfItsGroup(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(500))
	e.directory.set(postdate.Enabled)
	e.deliver(0, handed(failed(500)))
	reason, log := e.requireEnded(postdate.Dead)
	require.Equal(t, "gave up after 3 attempts: HTTP 500 Internal Server Error", reason)
	require.Len(t, log, 3)
}

func TestDeliver_EndsAsTheAttemptOfItsGroupSays(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[postdate.Outcome]string{
		postdate.Aborted: "the receiver asked to stop: HTTP 400 Bad Request",
		postdate.Gone:    "the receiver is gone: HTTP 400 Bad Request",
	} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t)
			e.deliver(0, handed(postdate.Attempt{Outcome: outcome, Status: 400}))
			reason, log := e.requireEnded(postdate.Dead)
			require.Equal(t, want, reason)
			require.Len(t, log, 1)
			require.Empty(t, e.sent)
		})
	}
}

func TestDeliver_SleepsAgainWhereTheReceiverAskedItsGroup(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.deliver(0, handed(postdate.Attempt{Outcome: postdate.Rescheduled, Status: 200, RescheduleTo: start.Add(year)}))
	in, delay := e.requireContinued()
	require.Equal(t, year, delay)
	require.False(t, in.Handed, "the next run makes an attempt")
	require.Len(t, in.Attempts, 1)
}

func TestDeliver_FireOvertakesTheRetryOfWhatWasHandedOver(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.directory.set(postdate.Enabled)
	e.update(time.Second, protocol.UpdateFire)
	e.deliver(0, handed(failed(500)))
	e.requireDelivered()
	require.Equal(t, []time.Duration{time.Second}, e.times())
}

func TestDeliver_PublishesWhatGoesToSubscribers(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.deliver(time.Hour, func(in *protocol.DeliverInput) {
		in.Shipment.To = postdate.Destination{}
		in.Shipment.Message.Entity = "customer_42"
	})
	log := e.requireDelivered()
	require.Equal(t, "published to 3 endpoints", log.Last().Response)
	require.Equal(t, []postdate.Event{{
		ID: "pr_1", Type: "payment_request.due", Entity: "default/customer_42",
		Data: json.RawMessage(`{"amount":1}`), Timestamp: new(start.Add(time.Hour)),
	}}, e.engine.news())
}

func TestDeliver_PublishesUntilTheEngineTakesIt(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.engine.fail(errors.New("no engine"))
	e.RegisterDelayedCallback(func() { e.engine.fail(nil) }, time.Hour)
	e.deliver(0, func(in *protocol.DeliverInput) { in.Shipment.To = postdate.Destination{} })
	require.Len(t, e.requireDelivered(), 1)
}

func TestDeliver_DiesWhereItsIDIsThatOfAnotherEvent(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.engine.fail(postdate.Errorf(postdate.Conflict, "/id", "is that of another event"))
	e.deliver(0, func(in *protocol.DeliverInput) { in.Shipment.To = postdate.Destination{} })
	reason, log := e.requireEnded(postdate.Dead)
	require.Equal(t, "gave up after 3 attempts: /id: is that of another event", reason)
	require.Len(t, log, 3)
}

func TestDeliver_AnnouncesADeadLetterOnce(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, postdate.Attempt{Outcome: postdate.Gone, Status: 410})
	e.directory.operator.Endpoints = []postdate.Endpoint{{ID: "ep_op", EventTypes: []string{"*"}}}
	e.directory.set(postdate.Enabled)
	e.deliver(0, toEndpoint)
	e.requireEnded(postdate.Dead)
	require.Len(t, e.engine.news(), 1)
	news := e.engine.news()[0]
	require.Equal(t, postdate.DeliveryDead, news.Type)
	require.Equal(t, "operator/default", news.Entity)
	require.JSONEq(t, `{"tenant":"default","id":"evt_1.ep_1","type":"payment_request.due","endpoint":"ep_1",
		"attempts":1,"reason":"the receiver is gone: HTTP 410 Gone"}`, string(news.Data))
}

// What a receiver answered is the tenant's to read: the operator is told the rest.
func TestDeliver_AnnouncesADeadLetterWithoutItsReceiversWords(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, postdate.Attempt{Outcome: postdate.Gone, Status: 410, Response: "call 555-1234: your operator's key has expired"})
	e.directory.operator.Endpoints = []postdate.Endpoint{{ID: "ep_op", EventTypes: []string{"*"}}}
	e.directory.set(postdate.Enabled)
	e.deliver(0, toEndpoint)
	reason, _ := e.requireEnded(postdate.Dead)
	require.Equal(t, "the receiver is gone: HTTP 410 Gone: call 555-1234: your operator's key has expired", reason)
	require.Len(t, e.engine.news(), 1)
	require.Contains(t, string(e.engine.news()[0].Data), `"reason":"the receiver is gone: HTTP 410 Gone"`)
}

func TestDeliver_DiesAsItWouldWhereThatCannotBeAnnounced(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, postdate.Attempt{Outcome: postdate.Gone, Status: 410})
	e.directory.operator.Endpoints = []postdate.Endpoint{{ID: "ep_op", EventTypes: []string{"*"}}}
	e.engine.fault = errors.New("no engine")
	e.deliver(0)
	reason, _ := e.requireEnded(postdate.Dead)
	require.Equal(t, "the receiver is gone: HTTP 410 Gone", reason)
	require.Greater(t, len(e.engine.news()), 1, "it is tried again")
}

func TestDeliver_AnnouncesADeadLetterOnceItCan(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, postdate.Attempt{Outcome: postdate.Gone, Status: 410})
	e.directory.operator.Endpoints = []postdate.Endpoint{{ID: "ep_op", EventTypes: []string{"*"}}}
	e.engine.fail(errors.New("no engine"))
	e.RegisterDelayedCallback(func() { e.engine.fail(nil) }, time.Hour)
	e.deliver(0)
	e.requireEnded(postdate.Dead)
	news := e.engine.news()
	require.Greater(t, len(news), 10)
	require.Equal(t, news[0].ID, news[len(news)-1].ID)
	require.WithinDuration(t, start.Add(time.Hour), e.Now(), 2*time.Minute)
}

func TestDeliver_AnnouncesNothingOfTheOperatorsOwn(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, postdate.Attempt{Outcome: postdate.Gone, Status: 410})
	e.directory.operator.Endpoints = []postdate.Endpoint{{ID: "ep_op", EventTypes: []string{"*"}}}
	e.deliver(0, func(in *protocol.DeliverInput) { in.Shipment.Message.Tenant = postdate.OperatorTenant })
	e.requireEnded(postdate.Dead)
	require.Empty(t, e.engine.news())
}
