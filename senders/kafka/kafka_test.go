package kafka_test

import (
	"context"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/senders/kafka"
	"github.com/postdate/postdate/senders/sendertest"
)

func start(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(1, "payments")}, options...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

// open opens the topic payments, or what more says.
func open(t *testing.T, servers, more string) (*streams.Sender, streams.Broker) {
	t.Helper()
	configs, err := streams.Parse(`[{"name":"payments","tenants":["*"],"url":"kafka://` + servers + `"` + more + `}]`)
	require.NoError(t, err)
	broker, err := kafka.Open(configs[0])
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	return streams.NewSender(postdate.Kafka, broker), broker
}

const topic = `,"topic":"payments"`

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

// consume reads the topic from its beginning.
func consume(t *testing.T, cluster *kfake.Cluster) <-chan *kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("payments"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	records := make(chan *kgo.Record, 2*sendertest.Backlog)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	t.Cleanup(func() { stop(); <-done; client.Close() })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { records <- r })
		}
	}()
	return records
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// router sends to the sender of the stream that a target names.
type router map[string]*streams.Sender

func (r router) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	return r[to.Stream].Send(ctx, m, to)
}

func TestSender(t *testing.T) {
	t.Parallel()
	sendertest.Run(t, func(t *testing.T) sendertest.Harness {
		t.Helper()
		cluster := start(t)
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, closed.Close())
		silent, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and never answers
		require.NoError(t, err)
		t.Cleanup(func() { silent.Close() })
		up, _ := open(t, cluster.ListenAddrs()[0], topic)
		down, _ := open(t, closed.Addr().String(), topic)
		stuck, _ := open(t, silent.Addr().String(), topic)

		records := consume(t, cluster)
		arrived := make(chan sendertest.Arrival, sendertest.Backlog)
		ctx := t.Context()
		go func() {
			for {
				select {
				case r := <-records:
					arrived <- sendertest.Arrival{ID: header(r, "webhook-id"), Type: header(r, "ce_type"), Data: r.Value}
				case <-ctx.Done():
					return
				}
			}
		}()
		to := func(stream string) postdate.Target {
			return postdate.Target{Stream: stream, Mode: postdate.CloudEventsBinary}
		}
		return sendertest.Harness{
			Sender: router{"up": up, "down": down, "stuck": stuck}, Up: to("up"), Down: to("down"), Stuck: to("stuck"), Arrived: arrived,
		}
	})
}

func TestSend_WritesTheAttributesIntoHeaders(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	sender, broker := open(t, cluster.ListenAddrs()[0], topic)
	require.NoError(t, broker.Probe(t.Context()))
	a := send(t, sender, message, target, 10*time.Second)
	require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
	require.Equal(t, "topic payments, partition 0, offset 0", a.Response)
	structured := target
	structured.Mode = postdate.CloudEventsStructured
	require.Equal(t, postdate.Accepted, send(t, sender, message, structured, 10*time.Second).Outcome)

	records := consume(t, cluster)
	r := <-records
	require.Equal(t, "customer_42", string(r.Key))
	require.Equal(t, `{"n":1.10}`, string(r.Value))
	for name, want := range map[string]string{
		"ce_specversion": "1.0", "ce_id": "pr_1-expiry", "ce_type": "payment_request.due", "ce_source": "/postdate/acme",
		"ce_subject": "customer_42", "ce_time": "2027-01-01T09:00:00Z", "content-type": "application/json", "webhook-id": "pr_1-expiry",
	} {
		require.Equal(t, want, header(r, name), name)
	}
	r = <-records
	require.Equal(t, "application/cloudevents+json", header(r, "content-type"))
	require.Empty(t, header(r, "ce_id"))
	require.Contains(t, string(r.Value), `"data":{"n":1.10}`)
}

func TestSend_SaysWhyNothingWasStored(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	sender, broker := open(t, cluster.ListenAddrs()[0], `,"topic":"nowhere"`)
	a := send(t, sender, message, target, 20*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Equal(t, `the broker has no topic "nowhere"`, a.Error)
	require.EqualError(t, broker.Probe(t.Context()), a.Error)

	sender, _ = open(t, cluster.ListenAddrs()[0], topic)
	big := message
	big.Data = json.RawMessage(`"` + strings.Repeat("x", 2<<20) + `"`)
	a = send(t, sender, big, target, 10*time.Second)
	require.Equal(t, postdate.Refused, a.Outcome)
	require.Equal(t, `too large for the topic "payments"`, a.Error)
}

func TestSend_SaysThatTheCredentialsAreWrong(t *testing.T) {
	t.Parallel()
	cluster := start(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "postdate", "right"))
	credentials := func(password string) string {
		return topic + `,"mechanism":"plain","username":"postdate","password":"` + password + `"`
	}
	sender, _ := open(t, cluster.ListenAddrs()[0], credentials("s3cret"))
	a := send(t, sender, message, target, 10*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Equal(t, "no connection to the broker: it closes the connection: are TLS, mechanism, username and password right?", a.Error)

	// Kafka itself says why.
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		response.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return response, nil, true
	})
	sender, broker := open(t, cluster.ListenAddrs()[0], credentials("s3cret"))
	a = send(t, sender, message, target, 10*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Contains(t, a.Error, "SASL_AUTHENTICATION_FAILED")
	require.NotContains(t, a.Error, "s3cret")
	require.ErrorContains(t, broker.Probe(t.Context()), "SASL_AUTHENTICATION_FAILED")

	right := start(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "postdate", "right"))
	sender, broker = open(t, right.ListenAddrs()[0], credentials("right"))
	a = send(t, sender, message, target, 10*time.Second)
	require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
	require.NoError(t, broker.Probe(t.Context()))
}

func TestSend_GoesOnWhenTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cluster := start(t, kfake.DataDir(folder), kfake.SyncWrites())
	address := cluster.ListenAddrs()[0]
	sender, _ := open(t, address, topic)
	require.Equal(t, postdate.Accepted, send(t, sender, message, target, 10*time.Second).Outcome)
	cluster.Close()
	m := message
	m.ID = "pr_2"
	eventually.True(t, func() bool {
		a := send(t, sender, m, target, time.Second)
		return a.Outcome == postdate.Failed && a.Error == "no connection to the broker: connection refused"
	}, "nobody noticed that the broker is gone")

	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	start(t, kfake.DataDir(folder), kfake.SyncWrites(), kfake.Ports(n))
	eventually.True(t, func() bool {
		return send(t, sender, m, target, time.Second).Outcome == postdate.Accepted
	}, "it did not come back")
}

// A broker that stores a record and does not say so in time is asked again for the same
// record, and not given another one in its place.
func TestSend_WaitsForTheAnswerOfTheAttemptBefore(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	sender, _ := open(t, cluster.ListenAddrs()[0], topic)
	require.Equal(t, postdate.Accepted, send(t, sender, message, target, 10*time.Second).Outcome)
	produced, answer := make(chan struct{}, 10), make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		produced <- struct{}{}
		cluster.SleepControl(func() { <-answer })
		return nil, nil, false //nolint:nilnil // as kfake has it: go on as usual
	})
	slow, other := message, message
	slow.ID, other.ID = "pr_2", "pr_3"
	a := send(t, sender, slow, target, 200*time.Millisecond)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Equal(t, "no word of the broker within 200ms: whether it has stored the message is not known", a.Error)
	<-produced
	close(answer)
	a = send(t, sender, slow, target, 10*time.Second)
	require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
	require.Equal(t, "topic payments, partition 0, offset 1", a.Response)
	require.Equal(t, "topic payments, partition 0, offset 2", send(t, sender, other, target, 10*time.Second).Response)
}
