//go:build integration

package rabbitmq_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/senders/rabbitmq"
	"github.com/postdate/postdate/senders/sendertest"
)

// address is the broker that scripts/with-rabbitmq has started.
func address(t *testing.T) string {
	t.Helper()
	text := os.Getenv("POSTDATE_TEST_RABBITMQ")
	require.NotEmpty(t, text, "run this by scripts/with-rabbitmq")
	return text
}

func control(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command(os.Getenv("POSTDATE_TEST_RABBITMQCTL"), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// queue makes a queue of its own, and a channel to read it by.
func queue(t *testing.T, args amqp.Table) (name string, ch *amqp.Channel) {
	t.Helper()
	conn, err := amqp.Dial(address(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err = conn.Channel()
	require.NoError(t, err)
	name = strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	_, err = ch.QueueDeclare(name, true, false, false, false, args)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = ch.QueueDelete(name, false, false, false) })
	return name, ch
}

// open opens the stream of that routing key, or what more says.
func open(t *testing.T, url, key, more string) (*streams.Sender, streams.Broker) {
	t.Helper()
	configs, err := streams.Parse(`[{"name":"payments","tenants":["*"],"url":"` + url + `","routing_key":"` + key + `"` + more + `}]`)
	require.NoError(t, err)
	broker, err := rabbitmq.Open(configs[0])
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	return streams.NewSender(postdate.RabbitMQ, broker), broker
}

var (
	target  = postdate.Target{Stream: "payments", Mode: postdate.CloudEventsBinary}
	message = postdate.Message{
		ID: "pr_1-expiry", Tenant: "acme", Entity: "customer_42", Type: "payment_request.due",
		Timestamp: time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC), Data: json.RawMessage(`{"n":1.10}`),
	}
)

func send(t *testing.T, s *streams.Sender, m postdate.Message, to postdate.Target, within time.Duration) postdate.Attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	a, err := s.Send(ctx, m, to)
	require.NoError(t, err)
	return a
}

// router sends to the sender of the stream that a target names.
type router map[string]*streams.Sender

func (r router) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	return r[to.Stream].Send(ctx, m, to)
}

func TestSender(t *testing.T) { //nolint:paralleltest // they share a broker, which some of them stop
	sendertest.Run(t, func(t *testing.T) sendertest.Harness {
		t.Helper()
		name, ch := queue(t, nil)
		deliveries, err := ch.Consume(name, "", true, true, false, false, nil)
		require.NoError(t, err)
		arrived := make(chan sendertest.Arrival, sendertest.Backlog)
		go func() {
			for d := range deliveries {
				kind, _ := d.Headers["cloudEvents_type"].(string)
				arrived <- sendertest.Arrival{ID: d.MessageId, Type: kind, Data: d.Body}
			}
		}()
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, closed.Close())
		silent, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and never answers
		require.NoError(t, err)
		t.Cleanup(func() { silent.Close() })
		up, _ := open(t, address(t), name, "")
		down, _ := open(t, "amqp://"+closed.Addr().String(), name, "")
		stuck, _ := open(t, "amqp://"+silent.Addr().String(), name, "")
		to := func(stream string) postdate.Target {
			return postdate.Target{Stream: stream, Mode: postdate.CloudEventsBinary}
		}
		return sendertest.Harness{
			Sender: router{"up": up, "down": down, "stuck": stuck}, Up: to("up"), Down: to("down"), Stuck: to("stuck"), Arrived: arrived,
		}
	})
}

func TestRabbitMQ_WritesTheAttributesIntoHeaders(t *testing.T) { //nolint:paralleltest // they share a broker, which some of them stop
	name, ch := queue(t, nil)
	sender, broker := open(t, address(t), name, "")
	require.NoError(t, broker.Probe(t.Context()))
	to, m := target, message
	to.ExpiresAt = time.Now().Add(time.Hour)
	m.CloudEvent = &postdate.CloudEvent{Source: "/shop", Subject: "order/7", Extensions: map[string]any{"urgent": true, "attempt": float64(3)}}
	a := send(t, sender, m, to, 10*time.Second)
	require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
	require.Equal(t, "confirmed", a.Response)
	got, ok, err := ch.Get(name, true)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, `{"n":1.10}`, string(got.Body))
	require.Equal(t, "application/json", got.ContentType)
	require.Equal(t, "pr_1-expiry", got.MessageId)
	require.Equal(t, amqp.Persistent, got.DeliveryMode)
	require.NotEmpty(t, got.Expiration)
	for header, want := range map[string]any{
		"cloudEvents_specversion": "1.0", "cloudEvents_id": "pr_1-expiry", "cloudEvents_type": "payment_request.due",
		"cloudEvents_source": "/shop", "cloudEvents_subject": "order/7", "cloudEvents_time": "2027-01-01T09:00:00Z",
		"cloudEvents_urgent": true, "cloudEvents_attempt": int32(3), "webhook-id": "pr_1-expiry",
	} {
		require.Equal(t, want, got.Headers[header], header)
	}
	to.Mode = postdate.CloudEventsStructured
	require.Equal(t, postdate.Accepted, send(t, sender, m, to, 10*time.Second).Outcome)
	got, _, err = ch.Get(name, true)
	require.NoError(t, err)
	require.Equal(t, "application/cloudevents+json", got.ContentType)
	require.Contains(t, string(got.Body), `"data":{"n":1.10}`)
}

func TestRabbitMQ_SaysWhyNothingWasStored(t *testing.T) { //nolint:paralleltest // they share a broker, which some of them stop
	name, _ := queue(t, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	sender, _ := open(t, address(t), name, "")
	require.Equal(t, postdate.Accepted, send(t, sender, message, target, 10*time.Second).Outcome)
	a := send(t, sender, message, target, 10*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Contains(t, a.Error, "the broker did not take it (nack)")
	require.True(t, a.Busy)

	big := message
	big.Data = json.RawMessage(`"` + strings.Repeat("x", 100<<10) + `"`)
	a = send(t, sender, big, target, 10*time.Second)
	require.Equal(t, postdate.Refused, a.Outcome, a.Error)
	require.Contains(t, a.Error, "too large: ")
	require.Contains(t, send(t, sender, message, target, 10*time.Second).Error, "nack", "a channel that was closed is not used again")

	unrouted, broker := open(t, address(t), "nowhere", `,"exchange":"amq.direct"`)
	a = send(t, unrouted, message, target, 10*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Equal(t, "no queue gets it: no_route (312)", a.Error)
	require.NoError(t, broker.Probe(t.Context()))
	require.Equal(t, a.Error, send(t, unrouted, message, target, 10*time.Second).Error)

	missing, broker := open(t, address(t), "x", `,"exchange":"nowhere"`)
	a = send(t, missing, message, target, 10*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Equal(t, `the broker has no exchange "nowhere"`, a.Error)
	require.EqualError(t, broker.Probe(t.Context()), a.Error)
	_, broker = open(t, address(t), "no-queue", "")
	require.EqualError(t, broker.Probe(t.Context()), `the broker has no queue "no-queue"`)
}

func TestRabbitMQ_SaysThatTheCredentialsAreWrong(t *testing.T) { //nolint:paralleltest // they share a broker, which some of them stop
	name, _ := queue(t, nil)
	sender, broker := open(t, strings.Replace(address(t), "guest:guest", "guest:s3cret", 1), name, "")
	a := send(t, sender, message, target, 10*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Contains(t, a.Error, "no connection to the broker: ")
	require.Contains(t, a.Error, "username or password not allowed")
	require.NotContains(t, a.Error, "s3cret")
	require.ErrorContains(t, broker.Probe(t.Context()), "username or password not allowed")
}

func TestRabbitMQ_SlowsDownWhereTheBrokerBlocks(t *testing.T) { //nolint:paralleltest // they share a broker, which some of them stop
	name, _ := queue(t, nil)
	sender, _ := open(t, address(t), name, "")
	require.Equal(t, postdate.Accepted, send(t, sender, message, target, 10*time.Second).Outcome)
	control(t, "set_vm_memory_high_watermark", "0.00001")
	t.Cleanup(func() { control(t, "set_vm_memory_high_watermark", "0.4") })
	eventually.True(t, func() bool {
		a := send(t, sender, message, target, 10*time.Second)
		return a.Busy && strings.Contains(a.Error, "the broker takes nothing now: low on memory")
	}, "nobody noticed that the connection is blocked")
	control(t, "set_vm_memory_high_watermark", "0.4")
	eventually.True(t, func() bool {
		return send(t, sender, message, target, 10*time.Second).Outcome == postdate.Accepted
	}, "it did not go on")
}

func TestRabbitMQ_GoesOnWhenTheBrokerIsBack(t *testing.T) { //nolint:paralleltest // they share a broker, which some of them stop
	name, _ := queue(t, nil)
	sender, _ := open(t, address(t), name, "")
	require.Equal(t, postdate.Accepted, send(t, sender, message, target, 10*time.Second).Outcome)
	control(t, "keep")
	control(t, "kill")
	eventually.True(t, func() bool {
		a := send(t, sender, message, target, time.Second)
		return a.Outcome == postdate.Failed && a.Error == "no connection to the broker: connection refused"
	}, "nobody noticed that the broker is gone")
	control(t, "start")
	var last postdate.Attempt
	eventually.True(t, func() bool {
		last = send(t, sender, message, target, 10*time.Second)
		return last.Outcome == postdate.Accepted
	}, "it did not come back: %+v", &last)
}
