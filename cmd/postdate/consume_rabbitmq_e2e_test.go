//go:build integration

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
)

// rabbitMQ is a connection to the broker of the tests, and durable queues of its own.
func rabbitMQ(t *testing.T, queues int) (url string, names []string, ch *amqp.Channel) {
	t.Helper()
	url = os.Getenv("POSTDATE_TEST_RABBITMQ")
	require.NotEmpty(t, url, "run it by scripts/with-rabbitmq")
	conn, err := amqp.Dial(url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err = conn.Channel()
	require.NoError(t, err)
	require.NoError(t, ch.Confirm(false))
	for range queues {
		name := "consume-" + uuid.NewString()
		_, err := ch.QueueDeclare(name, true, false, false, false, nil)
		require.NoError(t, err)
		names = append(names, name)
	}
	return url, names, ch
}

func publishTo(t *testing.T, ch *amqp.Channel, queue string, m amqp.Publishing) {
	t.Helper()
	m.DeliveryMode = amqp.Persistent
	confirmation, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), "", queue, true, false, m)
	require.NoError(t, err)
	confirmed, err := confirmation.WaitContext(t.Context())
	require.NoError(t, err)
	require.True(t, confirmed)
}

// TestFromRabbitMQAndBack kills the process and the broker amid messages: those that have
// an id become one event each, and none is lost.
func TestFromRabbitMQAndBack(t *testing.T) { //nolint:paralleltest // it stops a broker that tests share
	const messages = 400
	url, names, ch := rabbitMQ(t, 3)
	p := newDevProcess(t, "POSTDATE_STREAMS="+fmt.Sprintf(`[
		{"name": "in", "url": %[1]q, "consume": {"queue": %[2]q, "tenant": "default", "dead_letter": "rejected"}},
		{"name": "out", "url": %[1]q, "routing_key": %[3]q, "tenants": ["*"]},
		{"name": "rejected", "url": %[1]q, "routing_key": %[4]q, "tenants": []}]`, url, names[0], names[1], names[2]))
	seen := newDataCounter(t)
	p.subscribe("url", seen.url, "order.*")
	p.subscribe("stream", "out", "order.binary")

	publishTo(t, ch, names[0], amqp.Publishing{ContentType: "text/plain", Body: []byte("not JSON"), Headers: amqp.Table{"x-own": "kept"}})
	for n := range messages {
		m := amqp.Publishing{Body: fmt.Appendf(nil, `{"n": %d}`, n), ContentType: "application/json"}
		switch n % 2 {
		case 0:
			m.Headers = amqp.Table{
				"cloudEvents_specversion": "1.0", "cloudEvents_id": fmt.Sprint(n), "cloudEvents_source": "/shop", "cloudEvents_type": "order.binary",
				"cloudEvents_priority": int32(7),
			}
		default:
			m.MessageId, m.Body = fmt.Sprintf("order %d", n), fmt.Appendf(nil, `{"type": "order.own", "data": {"n": %d}}`, n)
		}
		publishTo(t, ch, names[0], m)
	}
	eventually.True(t, func() bool { return seen.distinct() > 50 })
	p.stop(syscall.SIGKILL)
	p.start()
	eventually.True(t, func() bool { return seen.distinct() > 150 })
	for _, command := range []string{"keep", "kill", "start"} {
		out, err := exec.CommandContext(t.Context(), os.Getenv("POSTDATE_TEST_RABBITMQCTL"), command).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	eventually.True(t, func() bool { return seen.distinct() == messages })
	for n, ids := range seen.ids() {
		require.Len(t, ids, 1, "message %d became several events", n)
	}

	_, _, ch = rabbitMQ(t, 0)
	eventually.True(t, func() bool {
		queue, err := ch.QueueDeclarePassive(names[1], true, false, false, false, nil)
		require.NoError(t, err)
		return queue.Messages >= messages/2
	}, "the way back")
	event, ok, err := ch.Get(names[1], true)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "/shop", event.Headers["cloudEvents_source"])
	require.EqualValues(t, 7, event.Headers["cloudEvents_priority"])
	letter, ok, err := ch.Get(names[2], true)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "not JSON", string(letter.Body))
	require.Equal(t, "kept", letter.Headers["x-own"])
	require.Equal(t, "malformed", letter.Headers["postdate-code"])
	eventually.True(t, func() bool { return p.consumption()["lag"] == 0.0 })
	p.stop(syscall.SIGTERM)
}

// TestAMessageMayWaitLongerThanRabbitMQAllows has a message that cannot be taken wait until
// RabbitMQ closes its channel: it is read again, and those behind it become one event each.
func TestAMessageMayWaitLongerThanRabbitMQAllows(t *testing.T) { //nolint:paralleltest // it changes settings of a broker that tests share
	const messages = 40
	set := func(timeout, tick string) {
		out, err := exec.CommandContext(context.WithoutCancel(t.Context()), os.Getenv("POSTDATE_TEST_RABBITMQCTL"), "eval",
			"application:set_env(rabbit, consumer_timeout, "+timeout+"), application:set_env(rabbit, channel_tick_interval, "+tick+").").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	set("1000", "200")
	t.Cleanup(func() { set("1800000", "60000") })
	url, names, ch := rabbitMQ(t, 2)
	streams := `POSTDATE_STREAMS=[{"name": "in", "url": %[1]q, "consume": {"queue": %[2]q, "tenant": "default"%[4]s}},
		{"name": "rejected", "url": %[1]q, "routing_key": %[3]q, "tenants": []}]`
	p := newDevProcess(t, fmt.Sprintf(streams, url, names[0], names[1], ""))
	seen := newDataCounter(t)
	p.subscribe("url", seen.url, "order.*")
	publishTo(t, ch, names[0], amqp.Publishing{Body: []byte("not JSON")})
	for n := range messages {
		publishTo(t, ch, names[0], amqp.Publishing{MessageId: fmt.Sprint(n), Body: fmt.Appendf(nil, `{"type": "order.own", "data": {"n": %d}}`, n)})
	}
	eventually.True(t, func() bool { return strings.Contains(fmt.Sprint(p.consumption()["last_error"]), "timed out") })
	p.stop(syscall.SIGTERM)
	p.env = []string{fmt.Sprintf(streams, url, names[0], names[1], `, "dead_letter": "rejected"`)}
	p.start()
	eventually.True(t, func() bool { return seen.distinct() == messages })
	for n, ids := range seen.ids() {
		require.Len(t, ids, 1, "message %d became several events", n)
	}
	p.stop(syscall.SIGTERM)
}
