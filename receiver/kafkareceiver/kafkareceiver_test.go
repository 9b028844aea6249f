package kafkareceiver_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	_ "modernc.org/sqlite"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/receiver/kafkareceiver"
	"github.com/postdate/postdate/senders/kafka"
)

func start(t *testing.T, partitions int32) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "payments"), kfake.SeedTopics(1, "dead"),
		kfake.GroupMinSessionTimeout(time.Second))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

// sender is Postdate's own.
func sender(t *testing.T, cluster *kfake.Cluster) func(id, entity string, mode postdate.Mode) {
	t.Helper()
	configs, err := streams.Parse(`[{"name":"payments","tenants":["*"],"topic":"payments","url":"kafka://` + cluster.ListenAddrs()[0] + `"}]`)
	require.NoError(t, err)
	broker, err := kafka.Open(configs[0])
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	s := streams.NewSender(postdate.Kafka, broker)
	return func(id, entity string, mode postdate.Mode) {
		m := postdate.Message{
			ID: id, Tenant: "acme", Entity: entity, Type: "payment_request.due",
			Timestamp: time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC), Data: json.RawMessage(`{"n":1.10}`),
		}
		attempt, err := s.Send(t.Context(), m, postdate.Target{Stream: "payments", Mode: mode})
		require.NoError(t, err)
		require.Equal(t, postdate.Accepted, attempt.Outcome, attempt.Error)
	}
}

func newReceiver[Tx any](t *testing.T, store receiver.Store[Tx], do receiver.Func[Tx]) *receiver.Receiver {
	t.Helper()
	r, err := receiver.New(receiver.Config{Logger: slog.New(slog.DiscardHandler)}, store, do)
	require.NoError(t, err)
	return r
}

// consume runs a consumer until stop is called, or the test ends.
func consume(t *testing.T, cluster *kfake.Cluster, r *receiver.Receiver, config kafkareceiver.Config) (stop func()) {
	t.Helper()
	config.Group, config.Topics, config.Logger = "billing", []string{"payments"}, slog.New(slog.DiscardHandler)
	consumer, err := kafkareceiver.New(r, config, kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.HeartbeatInterval(100*time.Millisecond))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx) }()
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

func TestRun_HandlesWhatPostdateSendsOnce(t *testing.T) {
	t.Parallel()
	cluster := start(t, 1)
	send := sender(t, cluster)
	for _, id := range []string{"binary", "binary", "structured"} {
		mode := postdate.CloudEventsBinary
		if id == "structured" {
			mode = postdate.CloudEventsStructured
		}
		send(id, "customer_42", mode)
	}
	send("last", "customer_42", postdate.CloudEventsBinary)
	var got list
	consume(t, cluster, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(strings.Join([]string{m.ID, m.Type, m.Timestamp.Format(time.RFC3339), string(m.Data)}, " "))
		return nil
	}), kafkareceiver.Config{})
	const rest = ` payment_request.due 2027-01-01T09:00:00Z {"n":1.10}`
	require.Equal(t, []string{"binary" + rest, "structured" + rest, "last" + rest}, got.await(t, 3))
}

func TestRun_KeepsTheOrderWhereTheFunctionFails(t *testing.T) {
	t.Parallel()
	cluster := start(t, 1)
	send := sender(t, cluster)
	for i := range 5 {
		send(fmt.Sprint(i), "one", postdate.CloudEventsBinary)
	}
	var got list
	consume(t, cluster, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(m.ID)
		switch len(got.get()) {
		case 2, 3:
			return receiver.RetryAfter(10 * time.Millisecond)
		case 4:
			panic("out of luck")
		}
		return nil
	}), kafkareceiver.Config{})
	require.Equal(t, []string{"0", "1", "1", "1", "1", "2", "3", "4"}, got.await(t, 8))
}

func TestRun_WritesWhatIsAbortedToTheTopicForDeadLetters(t *testing.T) {
	t.Parallel()
	cluster := start(t, 1)
	send := sender(t, cluster)
	send("bad", "one", postdate.CloudEventsBinary)
	send("good", "one", postdate.CloudEventsBinary)
	var got list
	consume(t, cluster, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		if m.ID == "bad" {
			return receiver.Abort("no such request")
		}
		got.add(m.ID)
		return nil
	}), kafkareceiver.Config{DeadLetters: "dead"})
	require.Equal(t, []string{"good"}, got.await(t, 1))

	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("dead"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer reader.Close()
	dead := reader.PollFetches(t.Context()).Records()
	require.Len(t, dead, 1)
	m := kafkareceiver.Message(dead[0])
	require.Equal(t, "bad", m.ID)
	require.Equal(t, `{"n":1.10}`, string(m.Data))
	require.Equal(t, "one", string(dead[0].Key))
	for name, want := range map[string]string{
		"postdate-abort-reason": "no such request", "postdate-topic": "payments", "postdate-partition": "0", "postdate-offset": "0",
	} {
		require.Equal(t, want, m.Header.Get(name), name)
	}
}

func TestRun_StaysAtWhatIsAbortedWithoutSuchATopic(t *testing.T) {
	t.Parallel()
	cluster := start(t, 1)
	send := sender(t, cluster)
	send("bad", "one", postdate.CloudEventsBinary)
	send("good", "one", postdate.CloudEventsBinary)
	var got list
	consume(t, cluster, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(m.ID)
		if len(got.get()) == 1 {
			return receiver.Abort("no such request")
		}
		return nil
	}), kafkareceiver.Config{})
	require.Equal(t, []string{"bad", "bad", "good"}, got.await(t, 3))
}

func TestRun_WaitsForWhatIsRescheduled(t *testing.T) {
	t.Parallel()
	cluster := start(t, 1)
	send := sender(t, cluster)
	send("reminder", "one", postdate.CloudEventsBinary)
	var got list
	var early atomic.Bool
	var to time.Time
	consume(t, cluster, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		early.Store(early.Load() || time.Now().Before(to))
		got.add(m.ID)
		if len(got.get()) == 3 {
			return nil
		}
		to = time.Now().Add(time.Second).Truncate(time.Second)
		return receiver.Reschedule(to)
	}), kafkareceiver.Config{})
	require.Equal(t, []string{"reminder", "reminder", "reminder"}, got.await(t, 3))
	require.False(t, early.Load())
}

// Who holds the message gets it again after a crash, with the same time, and the function is
// not called.
func TestRun_HandsOverWhatIsRescheduled(t *testing.T) {
	t.Parallel()
	cluster := start(t, 1)
	send := sender(t, cluster)
	send("reminder", "one", postdate.CloudEventsBinary)
	to := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	var got, handed list
	consume(t, cluster, newReceiver(t, receiver.InMemory(100), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(m.ID)
		return receiver.Reschedule(to)
	}), kafkareceiver.Config{Reschedule: func(_ context.Context, m receiver.Message, at time.Time) error {
		handed.add(m.ID + " " + at.Format(time.RFC3339))
		if len(handed.get()) == 1 {
			return fmt.Errorf("not reached")
		}
		return nil
	}})
	want := "reminder " + to.Format(time.RFC3339)
	require.Equal(t, []string{want, want}, handed.await(t, 2))
	require.Equal(t, []string{"reminder"}, got.get())
}

// effects is a database whose rows are the work on messages.
func effects(t *testing.T) (*sql.DB, func() int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "r.db")+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=busy_timeout(10000)&_txlock=immediate")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	require.NoError(t, receiver.SQL(db, receiver.SQLite, "billing").CreateTable(t.Context()))
	_, err = db.ExecContext(t.Context(), `CREATE TABLE effects (message_id TEXT NOT NULL)`)
	require.NoError(t, err)
	return db, func() int {
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM effects`).Scan(&n))
		return n
	}
}

func insert(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO effects VALUES (?)`, m.ID)
	return err
}

// A process that dies before its offsets are committed leaves all of them to the next.
func TestRun_WorksOnceWhereOffsetsAreLost(t *testing.T) {
	t.Parallel()
	const many = 40
	cluster := start(t, 4)
	send := sender(t, cluster)
	for i := range many {
		send(fmt.Sprint("pr_", i), fmt.Sprint("customer_", i), postdate.CloudEventsBinary)
	}
	var lose atomic.Bool
	lose.Store(true)
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !lose.Load() {
			return nil, nil, false //nolint:nilnil // kfake goes on by itself
		}
		commit := request.(*kmsg.OffsetCommitRequest)
		response := commit.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range commit.Topics {
			answer := kmsg.OffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				answer.Partitions = append(answer.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.OffsetMetadataTooLarge.Code})
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
	db, count := effects(t)
	stop := consume(t, cluster, newReceiver(t, receiver.SQL(db, receiver.SQLite, "billing"), insert), kafkareceiver.Config{})
	eventually.True(t, func() bool { return count() == many })
	stop()

	lose.Store(false)
	var calls atomic.Int64
	counting := newReceiver(t, receiver.SQL(db, receiver.SQLite, "billing"), func(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
		calls.Add(1)
		return insert(ctx, tx, m)
	})
	stop = consume(t, cluster, counting, kafkareceiver.Config{})
	send("new", "customer_1", postdate.CloudEventsBinary)
	eventually.True(t, func() bool { return count() == many+1 })
	stop()
	require.EqualValues(t, 1, calls.Load(), "all others were duplicates")
}

// Members come and go while records are handled: each is worked on once, and no partition is
// left alone.
func TestRun_HandsPartitionsToOtherMembers(t *testing.T) {
	t.Parallel()
	const many = 200
	cluster := start(t, 4)
	send := sender(t, cluster)
	db, count := effects(t)
	r := newReceiver(t, receiver.SQL(db, receiver.SQLite, "billing"), insert)
	stop := consume(t, cluster, r, kafkareceiver.Config{})
	for i := range many {
		send(fmt.Sprint("pr_", i), fmt.Sprint("customer_", i), postdate.CloudEventsBinary)
		switch i {
		case many / 4, many / 2:
			consume(t, cluster, r, kafkareceiver.Config{})
		case 3 * many / 4:
			stop()
		}
	}
	eventually.True(t, func() bool { return count() == many })
}

// What is under way when the consumer is stopped is finished, and its offset committed.
func TestRun_FinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	cluster := start(t, 1)
	send := sender(t, cluster)
	send("first", "one", postdate.CloudEventsBinary)
	send("second", "one", postdate.CloudEventsBinary)
	db, count := effects(t)
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	var ids list
	stop := consume(t, cluster, newReceiver(t, receiver.SQL(db, receiver.SQLite, "billing"), func(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
		ids.add(m.ID)
		begun <- struct{}{}
		<-goOn
		return insert(ctx, tx, m)
	}), kafkareceiver.Config{})
	<-begun
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	close(goOn)
	<-stopped
	done := count()
	require.Equal(t, len(ids.get()), done)

	var rest list
	consume(t, cluster, newReceiver(t, receiver.InMemory(10), func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		rest.add(m.ID)
		return nil
	}), kafkareceiver.Config{})
	send("third", "one", postdate.CloudEventsBinary)
	require.Equal(t, []string{"first", "second", "third"}, append(ids.get(), rest.await(t, 3-done)...), "nothing came again, nothing was left out")
}

func TestNew_RefusesWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, receiver.InMemory(1), func(context.Context, receiver.NoTx, receiver.Message) error { return nil })
	_, err := kafkareceiver.New(nil, kafkareceiver.Config{Group: "a", Topics: []string{"b"}})
	require.ErrorContains(t, err, "a receiver, a group and topics are needed")
	_, err = kafkareceiver.New(r, kafkareceiver.Config{Group: "a"})
	require.ErrorContains(t, err, "a receiver, a group and topics are needed")
	_, err = kafkareceiver.New(r, kafkareceiver.Config{Group: "a", Topics: []string{"b"}}, kgo.SeedBrokers())
	require.ErrorContains(t, err, "kafkareceiver: ")
}
