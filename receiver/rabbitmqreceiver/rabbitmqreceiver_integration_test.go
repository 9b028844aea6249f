//go:build integration

package rabbitmqreceiver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/receiver/rabbitmqreceiver"
	"github.com/postdate/postdate/senders/rabbitmq"
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

// queue makes a queue of its own, whose dead letters go to another.
func queue(t *testing.T) (name, dead string) {
	t.Helper()
	ch := channel(t)
	name = "receiver-" + strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	dead = name + "-dead"
	_, err := ch.QueueDeclare(dead, true, false, false, false, nil)
	require.NoError(t, err)
	_, err = ch.QueueDeclare(name, true, false, false, false, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
	require.NoError(t, err)
	return name, dead
}

func channel(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(address(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

// sender is Postdate's own.
func sender(t *testing.T, queue string) func(id string, mode postdate.Mode) {
	t.Helper()
	configs, err := streams.Parse(`[{"name":"payments","tenants":["*"],"url":"` + address(t) + `","routing_key":"` + queue + `"}]`)
	require.NoError(t, err)
	broker, err := rabbitmq.Open(configs[0])
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	s := streams.NewSender(postdate.RabbitMQ, broker)
	return func(id string, mode postdate.Mode) {
		m := postdate.Message{
			ID: id, Tenant: "acme", Entity: "customer_42", Type: "payment_request.due",
			Timestamp: time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC), Data: json.RawMessage(`{"n":1.10}`),
		}
		var last postdate.Attempt
		eventually.True(t, func() bool { // a broker that was just started may not be ready, or never confirm
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			attempt, err := s.Send(ctx, m, postdate.Target{Stream: "payments", Mode: mode})
			require.NoError(t, err)
			last = attempt
			return attempt.Outcome == postdate.Accepted
		}, "not sent: %v", &last)
	}
}

func newReceiver(t *testing.T, do receiver.Func[receiver.NoTx]) *receiver.Receiver {
	t.Helper()
	r, err := receiver.New(receiver.Config{Logger: slog.New(slog.DiscardHandler)}, receiver.InMemory(1000), do)
	require.NoError(t, err)
	return r
}

// run consumes until stop is called, or the test ends.
func run(t *testing.T, r *receiver.Receiver, config rabbitmqreceiver.Config) (stop func()) {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	url := address(t)
	config.Dial = func() (*amqp.Connection, error) { return amqp.Dial(url) }
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- rabbitmqreceiver.Run(ctx, r, config) }()
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

func depth(t *testing.T, queue string) int {
	t.Helper()
	q, err := channel(t).QueueDeclarePassive(queue, true, false, false, false, nil)
	require.NoError(t, err)
	return q.Messages
}

func TestRun_HandlesWhatPostdateSendsOnce(t *testing.T) { //nolint:paralleltest // they share a broker, which one of them stops
	name, _ := queue(t)
	send := sender(t, name)
	send("binary", postdate.CloudEventsBinary)
	send("binary", postdate.CloudEventsBinary)
	send("structured", postdate.CloudEventsStructured)
	send("last", postdate.CloudEventsBinary)
	var got list
	stop := run(t, newReceiver(t, func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(strings.Join([]string{m.ID, m.Type, m.Timestamp.Format(time.RFC3339), string(m.Data)}, " "))
		return nil
	}), rabbitmqreceiver.Config{Queue: name, Prefetch: 1})
	const rest = ` payment_request.due 2026-01-01T09:00:00Z {"n":1.10}`
	require.Equal(t, []string{"binary" + rest, "structured" + rest, "last" + rest}, got.await(t, 3))
	stop()
	require.Zero(t, depth(t, name), "all were acknowledged")
}

func TestRun_HoldsWhatFailsOrIsRescheduled(t *testing.T) { //nolint:paralleltest // see above
	name, _ := queue(t)
	send := sender(t, name)
	for _, id := range []string{"one", "two"} {
		send(id, postdate.CloudEventsBinary)
	}
	var got list
	var early atomic.Bool
	var to time.Time
	run(t, newReceiver(t, func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		early.Store(early.Load() || time.Now().Before(to))
		got.add(m.ID)
		switch len(got.get()) {
		case 1:
			return receiver.RetryAfter(20 * time.Millisecond)
		case 2:
			panic("out of luck")
		case 3:
			to = time.Now().Add(time.Second).Truncate(time.Second)
			return receiver.Reschedule(to)
		}
		return nil
	}), rabbitmqreceiver.Config{Queue: name, Prefetch: 1})
	require.Equal(t, []string{"one", "one", "one", "one", "two"}, got.await(t, 5), "in order, by prefetch 1")
	require.False(t, early.Load())
}

func TestRun_RejectsWhatIsAborted(t *testing.T) { //nolint:paralleltest // see above
	name, dead := queue(t)
	send := sender(t, name)
	send("bad", postdate.CloudEventsBinary)
	run(t, newReceiver(t, func(context.Context, receiver.NoTx, receiver.Message) error {
		return receiver.Abort("no such request")
	}), rabbitmqreceiver.Config{Queue: name})
	ch := channel(t)
	var got amqp.Delivery
	eventually.True(t, func() bool {
		d, ok, err := ch.Get(dead, true)
		got = d
		return err == nil && ok
	})
	require.Equal(t, "bad", rabbitmqreceiver.Message(got).ID)
}

func TestRun_HandsOverWhatIsRescheduled(t *testing.T) { //nolint:paralleltest // see above
	name, _ := queue(t)
	send := sender(t, name)
	send("reminder", postdate.CloudEventsBinary)
	to := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	var got, handed list
	stop := run(t, newReceiver(t, func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(m.ID)
		return receiver.Reschedule(to)
	}), rabbitmqreceiver.Config{Queue: name, Reschedule: func(_ context.Context, m receiver.Message, at time.Time) error {
		handed.add(m.ID + " " + at.Format(time.RFC3339))
		if len(handed.get()) == 1 {
			return errors.New("not reached")
		}
		return nil
	}})
	want := "reminder " + to.Format(time.RFC3339)
	require.Equal(t, []string{want, want}, handed.await(t, 2))
	stop()
	require.Equal(t, []string{"reminder"}, got.get())
	require.Zero(t, depth(t, name))
}

// What is under way when it stops is finished and acknowledged; what is held goes back.
func TestRun_FinishesWhatIsUnderWay(t *testing.T) { //nolint:paralleltest // see above
	name, _ := queue(t)
	send := sender(t, name)
	send("slow", postdate.CloudEventsBinary)
	send("held", postdate.CloudEventsBinary)
	begun, goOn, held := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var done list
	stop := run(t, newReceiver(t, func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		if m.ID == "held" {
			close(held)
			return receiver.RetryAfter(time.Hour)
		}
		close(begun)
		<-goOn
		done.add(m.ID)
		return nil
	}), rabbitmqreceiver.Config{Queue: name})
	<-begun
	<-held
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	close(goOn)
	<-stopped
	require.Equal(t, []string{"slow"}, done.get())
	require.Equal(t, 1, depth(t, name))
}

func TestRun_OutlivesTheBroker(t *testing.T) { //nolint:paralleltest // see above
	name, _ := queue(t)
	send := sender(t, name)
	var got list
	run(t, newReceiver(t, func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(m.ID)
		return nil
	}), rabbitmqreceiver.Config{Queue: name})
	send("before", postdate.CloudEventsBinary)
	require.Equal(t, []string{"before"}, got.await(t, 1))
	control(t, "keep")
	control(t, "kill")
	control(t, "start")
	sender(t, name)("after", postdate.CloudEventsBinary)
	require.Equal(t, []string{"before", "after"}, got.await(t, 2))
}

func TestRun_OutlivesItsQueue(t *testing.T) { //nolint:paralleltest // see above
	name, _ := queue(t)
	var got list
	run(t, newReceiver(t, func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
		got.add(m.ID)
		return nil
	}), rabbitmqreceiver.Config{Queue: name})
	sender(t, name)("before", postdate.CloudEventsBinary)
	require.Equal(t, []string{"before"}, got.await(t, 1))
	_, err := channel(t).QueueDelete(name, false, false, false)
	require.NoError(t, err)
	queue(t)
	sender(t, name)("after", postdate.CloudEventsBinary)
	require.Equal(t, []string{"before", "after"}, got.await(t, 2))
}

func TestRun_SaysWhatIsMissing(t *testing.T) { //nolint:paralleltest // see above
	r := newReceiver(t, func(context.Context, receiver.NoTx, receiver.Message) error { return nil })
	url := address(t)
	dial := func() (*amqp.Connection, error) { return amqp.Dial(url) }
	require.ErrorContains(t, rabbitmqreceiver.Run(t.Context(), r, rabbitmqreceiver.Config{Dial: dial}), "a queue are needed")
	require.ErrorContains(t, rabbitmqreceiver.Run(t.Context(), r, rabbitmqreceiver.Config{Dial: dial, Queue: "nowhere"}), `consume the queue "nowhere"`)
}
