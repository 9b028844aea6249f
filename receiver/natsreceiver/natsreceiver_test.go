package natsreceiver_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/receiver/natsreceiver"
	"github.com/postdate/postdate/senders/nats"
)

const patience = 30 * time.Second

// broker is a server with the stream PAYMENTS.
type broker struct {
	url    string
	conn   *natsgo.Conn
	stream jetstream.Stream
}

func start(t *testing.T) broker {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	conn, err := natsgo.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "PAYMENTS", Subjects: []string{"payments.*"}, Duplicates: 100 * time.Millisecond,
	})
	require.NoError(t, err)
	return broker{s.ClientURL(), conn, stream}
}

// sender is Postdate's own.
func (b broker) sender(t *testing.T) func(id string, mode postdate.Mode) {
	t.Helper()
	configs, err := streams.Parse(`[{"name":"payments","tenants":["*"],"stream":"PAYMENTS","subject":"payments.due","url":"` + b.url + `"}]`)
	require.NoError(t, err)
	publishing, err := nats.Open(configs[0])
	require.NoError(t, err)
	t.Cleanup(publishing.Close)
	s := streams.NewSender(postdate.NATS, publishing)
	return func(id string, mode postdate.Mode) {
		m := postdate.Message{
			ID: id, Tenant: "acme", Entity: "customer_42", Type: "payment_request.due",
			Timestamp: time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC), Data: json.RawMessage(`{"n":1.10}`),
		}
		attempt, err := s.Send(t.Context(), m, postdate.Target{Stream: "payments", Mode: mode, DeliveryID: id + fmt.Sprint(time.Now().UnixNano())})
		require.NoError(t, err)
		require.Equal(t, postdate.Accepted, attempt.Outcome, attempt.Error)
	}
}

func (b broker) consumer(t *testing.T, config jetstream.ConsumerConfig) jetstream.Consumer {
	t.Helper()
	config.Durable = "billing"
	consumer, err := b.stream.CreateOrUpdateConsumer(t.Context(), config)
	require.NoError(t, err)
	return consumer
}

func newReceiver[Tx any](t *testing.T, store receiver.Store[Tx], do receiver.Func[Tx]) *receiver.Receiver {
	t.Helper()
	r, err := receiver.New(receiver.Config{Logger: slog.New(slog.DiscardHandler)}, store, do)
	require.NoError(t, err)
	return r
}

// run consumes until stop is called, or the test ends.
func run(t *testing.T, consumer jetstream.Consumer, r *receiver.Receiver, config natsreceiver.Config) (stop func()) {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- natsreceiver.Run(ctx, consumer, r, config) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

// list is what functions were called with, in order.
type list struct {
	mu  sync.Mutex
	all []string
}

func (l *list) add(s string) { l.mu.Lock(); defer l.mu.Unlock(); l.all = append(l.all, s) }
func (l *list) get() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.all...)
}

func (l *list) await(t *testing.T, n int) []string {
	t.Helper()
	eventually.True(t, func() bool { return len(l.get()) >= n }, fmt.Sprintf("fewer than %d", n))
	return l.get()
}

// settled waits until nothing waits for an acknowledgement or a first delivery.
func (b broker) settled(t *testing.T, consumer jetstream.Consumer) {
	t.Helper()
	consumer, err := b.stream.Consumer(t.Context(), consumer.CachedInfo().Name) // one of its own
	require.NoError(t, err)
	eventually.True(t, func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumAckPending == 0 && info.NumPending == 0
	})
}

func TestRun_HandlesWhatPostdateSendsOnce(t *testing.T) {
	t.Parallel()
	b := start(t)
	send := b.sender(t)
	send("binary", postdate.CloudEventsBinary)
	send("binary", postdate.CloudEventsBinary)
	send("structured", postdate.CloudEventsStructured)
	consumer := b.consumer(t, jetstream.ConsumerConfig{})
	var got list
	run(t, consumer, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(strings.Join([]string{m.ID, m.Type, m.Timestamp.Format(time.RFC3339), string(m.Data)}, " "))
		return nil
	}), natsreceiver.Config{})
	b.settled(t, consumer)
	const rest = ` payment_request.due 2027-01-01T09:00:00Z {"n":1.10}`
	require.ElementsMatch(t, []string{"binary" + rest, "structured" + rest}, got.get())
}

func TestRun_HasWhatFailsDeliveredAgain(t *testing.T) {
	t.Parallel()
	b := start(t)
	send := b.sender(t)
	consumer := b.consumer(t, jetstream.ConsumerConfig{MaxAckPending: 1})
	for i := range 4 {
		send(fmt.Sprint(i), postdate.CloudEventsBinary)
	}
	var got list
	run(t, consumer, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(m.ID)
		switch len(got.get()) {
		case 2, 3:
			return receiver.RetryAfter(20 * time.Millisecond)
		case 4:
			panic("out of luck")
		}
		return nil
	}), natsreceiver.Config{})
	require.Equal(t, []string{"0", "1", "1", "1", "1", "2", "3"}, got.await(t, 7), "in order, by MaxAckPending 1")
	b.settled(t, consumer)
}

func TestRun_TerminatesWhatIsAborted(t *testing.T) {
	t.Parallel()
	b := start(t)
	send := b.sender(t)
	consumer := b.consumer(t, jetstream.ConsumerConfig{})
	advisories, err := b.conn.SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>")
	require.NoError(t, err)
	require.NoError(t, b.conn.Flush())
	send("bad", postdate.CloudEventsBinary)
	run(t, consumer, newReceiver(t, receiver.InMemory(100), func(context.Context, receiver.NoTx, receiver.Message) error {
		return receiver.Abort("no such request")
	}), natsreceiver.Config{})
	advisory, err := advisories.NextMsg(patience)
	require.NoError(t, err)
	require.Contains(t, string(advisory.Data), `"reason":"no such request"`)
	b.settled(t, consumer)
	_, err = b.stream.GetMsg(t.Context(), 1)
	require.NoError(t, err, "it stays in the stream")
}

func TestRun_HasWhatIsRescheduledDeliveredThen(t *testing.T) {
	t.Parallel()
	b := start(t)
	send := b.sender(t)
	consumer := b.consumer(t, jetstream.ConsumerConfig{})
	send("reminder", postdate.CloudEventsBinary)
	var got list
	var early atomic.Bool
	var to time.Time
	run(t, consumer, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		early.Store(early.Load() || time.Now().Before(to))
		got.add(m.ID)
		if len(got.get()) == 3 {
			return nil
		}
		to = time.Now().Add(time.Second).Truncate(time.Second)
		return receiver.Reschedule(to)
	}), natsreceiver.Config{})
	require.Equal(t, []string{"reminder", "reminder", "reminder"}, got.await(t, 3))
	require.False(t, early.Load())
	b.settled(t, consumer)
}

func TestRun_HandsOverWhatIsRescheduled(t *testing.T) {
	t.Parallel()
	b := start(t)
	send := b.sender(t)
	consumer := b.consumer(t, jetstream.ConsumerConfig{})
	send("reminder", postdate.CloudEventsBinary)
	to := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	var got, handed list
	run(t, consumer, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(m.ID)
		return receiver.Reschedule(to)
	}), natsreceiver.Config{Reschedule: func(_ context.Context, m receiver.Message, at time.Time) error {
		handed.add(m.ID + " " + at.Format(time.RFC3339))
		if len(handed.get()) == 1 {
			return errors.New("not reached")
		}
		return nil
	}})
	b.settled(t, consumer)
	want := "reminder " + to.Format(time.RFC3339)
	require.Equal(t, []string{want, want}, handed.get())
	require.Equal(t, []string{"reminder"}, got.get())
}

// A function may take longer than AckWait: no copy is delivered meanwhile. When it stops, what
// is under way is finished, committed and acknowledged.
func TestRun_FinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := start(t)
	send := b.sender(t)
	const ackWait = 300 * time.Millisecond
	consumer := b.consumer(t, jetstream.ConsumerConfig{AckWait: ackWait})
	send("slow", postdate.CloudEventsBinary)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "r.db")+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	marks := receiver.SQL(db, receiver.SQLite, "billing")
	require.NoError(t, marks.CreateTable(t.Context()))
	_, err = db.ExecContext(t.Context(), `CREATE TABLE effects (message_id TEXT NOT NULL)`)
	require.NoError(t, err)

	begun, stopping := make(chan time.Time, 1), make(chan struct{})
	stop := run(t, consumer, newReceiver(t, marks, func(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
		begun <- time.Now()
		<-stopping
		_, err := tx.ExecContext(ctx, `INSERT INTO effects VALUES (?)`, m.ID)
		return err
	}), natsreceiver.Config{})
	since := <-begun
	eventually.True(t, func() bool { return time.Since(since) > 3*ackWait })
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	close(stopping)
	<-stopped

	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM effects`).Scan(&n))
	require.Equal(t, 1, n)
	b.settled(t, consumer)
	info, err := consumer.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Delivered.Consumer, "it was delivered once")
}

func TestRun_RefusesConsumersThatLoseMessages(t *testing.T) {
	t.Parallel()
	b := start(t)
	r := newReceiver(t, receiver.InMemory(1), func(context.Context, receiver.NoTx, receiver.Message) error { return nil })
	for want, config := range map[string]jetstream.ConsumerConfig{
		"set AckPolicy to AckExplicitPolicy":       {Name: "none", AckPolicy: jetstream.AckNonePolicy},
		"gives a message up after 3 deliveries":    {Name: "three", MaxDeliver: 3},
		"whatever became of it: set MaxDeliver to": {Name: "five", MaxDeliver: 5},
	} {
		consumer, err := b.stream.CreateConsumer(t.Context(), config)
		require.NoError(t, err)
		require.ErrorContains(t, natsreceiver.Run(t.Context(), consumer, r, natsreceiver.Config{}), want)
	}
	require.ErrorContains(t, natsreceiver.Run(t.Context(), nil, r, natsreceiver.Config{}), "a consumer and a receiver are needed")
}
