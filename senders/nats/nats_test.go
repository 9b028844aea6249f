package nats_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/senders/nats"
	"github.com/postdate/postdate/senders/sendertest"
)

// start starts a server with JetStream, with changes to its options.
func start(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(20*time.Second))
	return s
}

// payments makes the stream PAYMENTS with the subject payments.due.
func payments(t *testing.T, s *server.Server, change func(*jetstream.StreamConfig), options ...natsgo.Option) (*natsgo.Conn, jetstream.Stream) {
	t.Helper()
	conn, err := natsgo.Connect(s.ClientURL(), options...)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	c := jetstream.StreamConfig{Name: "PAYMENTS", Subjects: []string{"payments.*"}, Storage: jetstream.FileStorage}
	if change != nil {
		change(&c)
	}
	stream, err := js.CreateStream(t.Context(), c)
	require.NoError(t, err)
	return conn, stream
}

// open opens the stream that this text configures, beside its name, tenants and subject.
func open(t *testing.T, url, more string) (*streams.Sender, streams.Broker) {
	t.Helper()
	configs, err := streams.Parse(`[{"name":"payments","tenants":["*"],"stream":"PAYMENTS","subject":"payments.due","url":"` + url + `"` + more + `}]`)
	require.NoError(t, err)
	broker, err := nats.Open(configs[0])
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	return streams.NewSender(postdate.NATS, broker), broker
}

var (
	target  = postdate.Target{Stream: "payments", Mode: postdate.CloudEventsBinary}
	message = postdate.Message{
		ID: "pr_1-expiry", Tenant: "acme", Entity: "pr_1", Type: "payment_request.due",
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

func TestSender(t *testing.T) {
	t.Parallel()
	sendertest.Run(t, func(t *testing.T) sendertest.Harness {
		t.Helper()
		s := start(t, nil)
		// Nothing is recognised as a repetition for longer than a moment: the suite wants to
		// see each attempt arrive.
		conn, _ := payments(t, s, func(c *jetstream.StreamConfig) { c.Duplicates = 100 * time.Millisecond })
		arrived := make(chan sendertest.Arrival, sendertest.Backlog)
		_, err := conn.Subscribe("payments.due", func(m *natsgo.Msg) {
			arrived <- sendertest.Arrival{ID: m.Header.Get("webhook-id"), Type: m.Header.Get("ce-type"), Data: m.Data}
		})
		require.NoError(t, err)
		require.NoError(t, conn.Flush())
		_, err = conn.Subscribe("stuck.due", func(*natsgo.Msg) {}) // it never answers
		require.NoError(t, err)
		require.NoError(t, conn.Flush())

		closed, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, closed.Close())
		up, _ := open(t, s.ClientURL(), "")
		down, _ := open(t, "nats://"+closed.Addr().String(), "")
		configs, err := streams.Parse(`[{"name":"stuck","tenants":["*"],"stream":"PAYMENTS","subject":"stuck.due","url":"` + s.ClientURL() + `"}]`)
		require.NoError(t, err)
		broker, err := nats.Open(configs[0])
		require.NoError(t, err)
		t.Cleanup(broker.Close)
		return sendertest.Harness{
			Sender:  router{"up": up, "down": down, "stuck": streams.NewSender(postdate.NATS, broker)},
			Up:      postdate.Target{Stream: "up", Mode: postdate.CloudEventsBinary},
			Down:    postdate.Target{Stream: "down", Mode: postdate.CloudEventsBinary},
			Stuck:   postdate.Target{Stream: "stuck", Mode: postdate.CloudEventsBinary},
			Arrived: arrived,
		}
	})
}

func TestSend_WritesTheAttributesIntoHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, stream := payments(t, s, func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true })
	sender, broker := open(t, s.ClientURL(), "")
	require.NoError(t, broker.Probe(t.Context()))
	to := target
	to.DeliveryID, to.ExpiresAt = "pr_1-expiry.ep_1", time.Now().Add(time.Hour)
	to.Headers = map[string]postdate.Secret{"X-Team": "billing"}
	a := send(t, sender, message, to, 10*time.Second)
	require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
	require.Equal(t, "stream PAYMENTS, sequence 1", a.Response)

	got, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, `{"n":1.10}`, string(got.Data))
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-id": "pr_1-expiry", "ce-type": "payment_request.due", "ce-source": "/postdate/acme",
		"ce-subject": "pr_1", "ce-time": "2027-01-01T09:00:00Z", "content-type": "application/json",
		"webhook-id": "pr_1-expiry", "Nats-Msg-Id": "acme/pr_1-expiry.ep_1", "X-Team": "billing",
	} {
		require.Equal(t, want, got.Header.Get(name), name)
	}
	require.Regexp(t, `^(59m59s|1h0m0s)$`, got.Header.Get("Nats-TTL"))

	again := send(t, sender, message, to, 10*time.Second)
	require.Equal(t, postdate.Accepted, again.Outcome, again.Error)
	require.Equal(t, "stream PAYMENTS, sequence 1, stored before", again.Response)

	other := message
	other.Tenant = "globex"
	require.Equal(t, "stream PAYMENTS, sequence 2", send(t, sender, other, to, 10*time.Second).Response, "the same id of another tenant is another message")
}

func TestSend_WritesTheEventAsADocument(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, stream := payments(t, s, nil)
	sender, _ := open(t, s.ClientURL(), "")
	m := message
	m.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a := send(t, sender, m, postdate.Target{Mode: postdate.CloudEventsStructured}, 10*time.Second)
	require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
	got, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "application/cloudevents+json", got.Header.Get("content-type"))
	require.Empty(t, got.Header.Get("ce-id"))
	require.Contains(t, string(got.Data), `"data":{"n":1.10}`)
	require.True(t, strings.HasPrefix(got.Header.Get("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-"))
	require.NotEqual(t, m.TraceParent, got.Header.Get("traceparent"), "each attempt has an id of its own")
}

func TestSend_SaysWhyNothingWasStored(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *server.Options) { o.MaxPayload = 4 << 10 })
	payments(t, s, func(c *jetstream.StreamConfig) {
		c.MaxMsgSize, c.MaxMsgs, c.Discard = 2<<10, 1, jetstream.DiscardNew
	})
	sender, broker := open(t, s.ClientURL(), "")
	require.NoError(t, broker.Probe(t.Context()))

	big := message
	big.Data = json.RawMessage(`"` + strings.Repeat("x", 3<<10) + `"`)
	a := send(t, sender, big, target, 10*time.Second)
	require.Equal(t, postdate.Refused, a.Outcome)
	require.Contains(t, a.Error, `too large for the stream "PAYMENTS"`)
	big.Data = json.RawMessage(`"` + strings.Repeat("x", 5<<10) + `"`)
	a = send(t, sender, big, target, 10*time.Second)
	require.Equal(t, postdate.Refused, a.Outcome)
	require.Equal(t, "too large: the broker takes 4096 bytes", a.Error)

	require.Equal(t, postdate.Accepted, send(t, sender, message, target, 10*time.Second).Outcome)
	other := message
	other.ID = "pr_2"
	a = send(t, sender, other, target, 10*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Equal(t, "the stream refuses it: maximum messages exceeded", a.Error)
	require.True(t, a.Busy, "a stream that is full asks for less")
}

func TestSend_SaysThatThereIsNoSuchStream(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	sender, broker := open(t, s.ClientURL(), "")
	a := send(t, sender, message, target, 10*time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Equal(t, `no stream of the broker has the subject "payments.due"`, a.Error)
	require.EqualError(t, broker.Probe(t.Context()), a.Error)

	payments(t, s, func(c *jetstream.StreamConfig) { c.Name = "OTHER" })
	require.EqualError(t, broker.Probe(t.Context()), `the subject "payments.due" belongs to the stream "OTHER", and not to "PAYMENTS"`)
	a = send(t, sender, message, target, 10*time.Second)
	require.Equal(t, "the stream refuses it: expected stream does not match", a.Error)
}

func TestSend_SaysThatTheCredentialsAreWrong(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *server.Options) { o.Username, o.Password = "postdate", "right" })
	payments(t, s, nil, natsgo.UserInfo("postdate", "right"))
	sender, broker := open(t, s.ClientURL(), `,"username":"postdate","password":"s3cret"`)
	var a postdate.Attempt
	eventually.True(t, func() bool { // the client forgets why its very first try failed
		a = send(t, sender, message, target, 10*time.Second)
		require.Equal(t, postdate.Failed, a.Outcome)
		return strings.EqualFold(a.Error, "no connection to the broker: nats: authorization violation")
	}, "%+v", &a)
	require.ErrorContains(t, broker.Probe(t.Context()), "no connection to the broker")

	right, _ := open(t, strings.Replace(s.ClientURL(), "nats://", "nats://postdate:right@", 1), "")
	require.Equal(t, postdate.Accepted, send(t, right, message, target, 10*time.Second).Outcome)
}

func TestSend_SaysThatItIsNotAllowedToPublish(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "all"},
			{Username: "few", Password: "few", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"other.>"}}}},
		}
	})
	payments(t, s, nil, natsgo.UserInfo("all", "all"))
	sender, _ := open(t, s.ClientURL(), `,"username":"few","password":"few"`)
	a := send(t, sender, message, target, time.Second)
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Contains(t, a.Error, "the broker refuses it: nats: permissions violation")
}

func TestSend_GoesOnWhenTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := start(t, func(o *server.Options) { o.StoreDir = folder })
	payments(t, s, nil)
	sender, _ := open(t, s.ClientURL(), "")
	require.Equal(t, postdate.Accepted, send(t, sender, message, target, 10*time.Second).Outcome)
	port := s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()

	m := message
	m.ID = "while it was away"
	eventually.True(t, func() bool {
		a := send(t, sender, m, target, time.Second)
		return a.Outcome == postdate.Failed && strings.HasPrefix(a.Error, "no connection to the broker")
	}, "nobody noticed that the broker is gone")

	start(t, func(o *server.Options) { o.StoreDir, o.Port = folder, port })
	eventually.True(t, func() bool {
		return send(t, sender, m, target, time.Second).Outcome == postdate.Accepted
	}, "it did not come back")
}
