package main

import (
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postdate/postdate/internal/eventually"
)

// TestFromKafkaToTheFutureAndBack has each record of a topic scheduled two seconds ahead, and
// published to another topic.
func TestFromKafkaToTheFutureAndBack(t *testing.T) {
	t.Parallel()
	const records = 1000
	cluster, client := newKafka(t, "in", "out", "rejected")
	p := newDevProcess(t, kafkaRoundTrip(cluster, `"tenant": "default", "share": true`))
	p.subscribe("stream", "out", "*")
	out := readTopic(t, cluster, "out", "ce_id")
	due := time.Now().Add(2 * time.Second).UTC()
	var all []*kgo.Record
	for n := range records {
		header := func(name, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: []byte(value)} }
		all = append(all, &kgo.Record{
			Topic: "in", Partition: int32(n % 3), Value: fmt.Appendf(nil, `{"n": %d}`, n),
			Headers: []kgo.RecordHeader{
				header("ce_specversion", "1.0"), header("ce_id", fmt.Sprintf("o-%d", n)), header("ce_source", "/shop"), header("ce_type", "order.due"),
				header("content-type", "application/json"), header("postdate-due-at", due.Format(time.RFC3339Nano)),
			},
		})
	}
	produce(t, client, all...)
	eventually.True(t, func() bool { values, _ := out.distinct(); return values == records })
	values, arrived := out.distinct()
	require.Equal(t, values, arrived, "each arrives once")
	for _, record := range out.all() {
		require.False(t, record.Timestamp.Before(due.Truncate(time.Millisecond)), "%s is early", headerOf(record, "ce_id"))
	}
	p.stop(syscall.SIGTERM)
}

// TestProcessesShareAGroup has two processes of their own read beside the first: one that
// comes in the middle and is told to stop, and one that is killed.
func TestProcessesShareAGroup(t *testing.T) {
	t.Parallel()
	const records, rounds = 3000, 4
	cluster, client := newKafka(t, "in", "out", "rejected")
	streams := kafkaRoundTrip(cluster, `"tenant": "default"`)
	p := newDevProcess(t, streams)
	seen := newDataCounter(t)
	p.subscribe("url", seen.url, "*")
	next := 0
	round := func() {
		t.Helper()
		var all []*kgo.Record
		for ; len(all) < records/rounds; next++ {
			all = append(all, &kgo.Record{Topic: "in", Partition: int32(next % 3), Value: fmt.Appendf(nil, `{"type": "order.paid", "data": {"n": %d}}`, next)})
		}
		produce(t, client, all...)
	}
	round()
	second := newProcessWith(t, []string{streams}, p.temporal, "consume")
	third := newProcessWith(t, []string{streams}, p.temporal, "consume")
	round()
	second.stop(syscall.SIGTERM)
	require.NotContains(t, second.log.String(), "level=ERROR")
	round()
	third.stop(syscall.SIGKILL)
	round()
	eventually.True(t, func() bool { return seen.distinct() == records })
	for n, ids := range seen.ids() {
		require.Len(t, ids, 1, "record %d became several events", n)
	}
	p.stop(syscall.SIGTERM)
}

// TestCommitsThatFailLoseNothing has Kafka refuse commits, fetches and heartbeats amid records, as
// it does while a group is divided anew or a partition moves.
func TestCommitsThatFailLoseNothing(t *testing.T) {
	t.Parallel()
	const records, rounds = 1200, 4
	cluster, client := newKafka(t, "in", "out", "rejected")
	p := newDevProcess(t, kafkaRoundTrip(cluster, `"tenant": "default"`))
	seen := newDataCounter(t)
	p.subscribe("url", seen.url, "*")
	faults := []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RebalanceInProgress, Count: 3},
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: 2},
		{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: 1, TopLevel: true},
		{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "in", Err: kerr.NotLeaderForPartition, Count: 4},
	}
	next := 0
	for round := range rounds {
		handle := cluster.Fault(faults[round])
		var all []*kgo.Record
		for ; len(all) < records/rounds; next++ {
			all = append(all, &kgo.Record{Topic: "in", Partition: int32(next % 3), Value: fmt.Appendf(nil, `{"type": "order.paid", "data": {"n": %d}}`, next)})
		}
		produce(t, client, all...)
		eventually.True(t, func() bool { return handle.Hits() >= faults[round].Count }, "round %d", round)
	}
	eventually.True(t, func() bool { return seen.distinct() == records })
	eventually.True(t, func() bool { return p.consumption()["lag"] == 0.0 })
	for n, ids := range seen.ids() {
		require.Len(t, ids, 1, "record %d became several events", n)
	}
	p.stop(syscall.SIGTERM)
}

// TestABrokerThatIsAwayLosesNothing stops a broker amid its messages, and starts it again.
func TestABrokerThatIsAwayLosesNothing(t *testing.T) {
	t.Parallel()
	const records = 1200
	folder := t.TempDir()
	broker := newNATS(t, folder, -1)
	port := broker.Addr().(*net.TCPAddr).Port
	connect := func() jetstream.JetStream {
		conn, err := natsgo.Connect(broker.ClientURL())
		require.NoError(t, err)
		t.Cleanup(conn.Close)
		js, err := jetstream.New(conn)
		require.NoError(t, err)
		return js
	}
	js := connect()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "IN", Subjects: []string{"in"}, Storage: jetstream.FileStorage})
	require.NoError(t, err)
	_, err = js.CreateConsumer(t.Context(), "IN", jetstream.ConsumerConfig{Durable: "postdate", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 2 * time.Second})
	require.NoError(t, err)
	p := newDevProcess(t, "POSTDATE_STREAMS="+fmt.Sprintf(
		`[{"name": "in", "url": %q, "stream": "IN", "consume": {"consumer": "postdate", "tenant": "default"}}]`, broker.ClientURL()))
	seen := newDataCounter(t)
	p.subscribe("url", seen.url, "*")
	for n := range records {
		_, err := js.Publish(t.Context(), "in", fmt.Appendf(nil, `{"type": "order.paid", "data": {"n": %d}}`, n))
		require.NoError(t, err)
		if n == records/2 {
			broker.Shutdown()
			broker.WaitForShutdown()
			eventually.True(t, func() bool { return p.consumption()["state"] == "unreachable" })
			broker = newNATS(t, folder, port)
			js = connect()
		}
	}
	eventually.True(t, func() bool { return seen.distinct() == records })
	for n, ids := range seen.ids() {
		require.Len(t, ids, 1, "message %d became several events", n)
	}
	eventually.True(t, func() bool { return p.consumption()["state"] == "reading" })
	p.stop(syscall.SIGTERM)
}

func TestSourcesThatCannotBeReadAreShown(t *testing.T) {
	t.Parallel()
	broker := newNATS(t, t.TempDir(), -1)
	conn, err := natsgo.Connect(broker.ClientURL())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "IN", Subjects: []string{"in"}})
	require.NoError(t, err)
	_, err = js.CreateConsumer(t.Context(), "IN", jetstream.ConsumerConfig{Durable: "thrice", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 3})
	require.NoError(t, err)
	cluster, _ := newKafka(t, "in")
	for want, config := range map[string]string{
		`the stream "IN" has no consumer "nobody"`: fmt.Sprintf(`"url": %q, "stream": "IN", "consume": {"consumer": "nobody", "tenant": "default"}`, broker.ClientURL()),
		`must deliver without a limit`:             fmt.Sprintf(`"url": %q, "stream": "IN", "consume": {"consumer": "thrice", "tenant": "default"}`, broker.ClientURL()),
		`the broker has no topic "none"`:           fmt.Sprintf(`"url": "kafka://%s", "topic": "none", "consume": {"group": "g", "tenant": "default"}`, cluster.ListenAddrs()[0]),
		`connection refused`:                       `"url": "amqp://u:s3cret@127.0.0.1:1", "consume": {"queue": "q", "tenant": "default"}`,
	} {
		p := newDevProcess(t, `POSTDATE_STREAMS=[{"name": "in", `+config+`}]`)
		eventually.True(t, func() bool { return p.consumption()["state"] == "unreachable" }, want)
		require.Contains(t, p.consumption()["reason"], want)
		_, ready := p.call(http.MethodGet, "/readyz", nil)
		require.Contains(t, fmt.Sprint(ready["streams"]), "state:unreachable")
		require.NotContains(t, p.log.String(), "s3cret")
		p.stop(syscall.SIGTERM)
	}
}
