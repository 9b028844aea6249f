//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postdate/postdate/internal/eventually"
)

// passage counts what has passed through, by the number in its data and by its id.
type passage struct {
	mu   sync.Mutex
	seen map[int]map[string]int
}

func (p *passage) note(data []byte, id string) {
	var numbered struct{ N int }
	if json.Unmarshal(data, &numbered) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[numbered.N] == nil {
		p.seen[numbered.N] = make(map[string]int)
	}
	p.seen[numbered.N][id]++
}

func (p *passage) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

// TestNothingIsLostWhenABrokerIsKilled kills a broker (-9) amid records that are taken from it
// and published to it, three times, and starts it again. What comes twice has the same id.
func TestNothingIsLostWhenABrokerIsKilled(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"kafka", "nats"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const records, kills = 2000, 3
			broker := newKilledBroker(t, kind)
			seen := &passage{seen: make(map[int]map[string]int)}
			var write func(n int)
			var streams string
			if kind == "kafka" {
				write = kafkaPassage(t, broker, seen)
				streams = fmt.Sprintf(`[
					{"name": "in", "url": "kafka://%[1]s", "topic": "in", "consume": {"group": "postdate", "tenant": "default"}},
					{"name": "out", "url": "kafka://%[1]s", "topic": "out", "tenants": ["*"]}]`, broker.address())
			} else {
				write = natsPassage(t, broker, seen)
				streams = fmt.Sprintf(`[
					{"name": "in", "url": "nats://%[1]s", "stream": "IN", "consume": {"consumer": "postdate", "tenant": "default"}},
					{"name": "out", "url": "nats://%[1]s", "stream": "OUT", "subject": "out", "tenants": ["*"]}]`, broker.address())
			}
			p := newDevProcess(t, "POSTDATE_STREAMS="+streams)
			p.subscribe("stream", "out", "*")
			for round := range kills + 1 {
				for n := range records / (kills + 1) {
					write(round*records/(kills+1) + n)
				}
				if round < kills { // what was written last is under way
					eventually.True(t, func() bool { return seen.count() > round*100 })
					broker.kill()
					broker.start()
				}
			}
			eventually.True(t, func() bool { return seen.count() == records }, "some are lost")
			eventually.True(t, func() bool { return p.consumption()["lag"] == 0.0 })
			p.stop(syscall.SIGTERM)
			twice := 0
			for n, ids := range seen.seen {
				require.Len(t, ids, 1, "record %d became several messages", n)
				for _, copies := range ids {
					twice += copies - 1
				}
			}
			t.Logf("%d of %d came more than once", twice, records)
		})
	}
}

// numbered is a record: every fourth is a CloudEvent in structured mode, and so has a name.
func numbered(n int) []byte {
	if n%4 == 0 {
		return fmt.Appendf(nil, `{"specversion": "1.0", "id": "%[1]d", "source": "/shop", "type": "order.paid", "data": {"n": %[1]d}}`, n)
	}
	return fmt.Appendf(nil, `{"type": "order.paid", "data": {"n": %d}}`, n)
}

// kafkaPassage writes to the topic "in", and reads from "out".
func kafkaPassage(t *testing.T, b *killedBroker, seen *passage) (write func(n int)) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { seen.note(r.Value, headerOf(r, "webhook-id")) })
		}
	}()
	t.Cleanup(func() { stop(); client.Close(); <-done })
	return func(n int) { produce(t, client, &kgo.Record{Topic: "in", Partition: int32(n % 3), Value: numbered(n)}) }
}

// natsPassage creates the streams IN and OUT, and writes to the one and reads from the other.
func natsPassage(t *testing.T, b *killedBroker, seen *passage) (write func(n int)) {
	t.Helper()
	conn, err := natsgo.Connect("nats://"+b.address(), natsgo.MaxReconnects(-1), natsgo.ReconnectWait(100*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	for _, name := range []string{"IN", "OUT"} {
		subject := map[string]string{"IN": "in", "OUT": "out"}[name]
		_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Storage: jetstream.FileStorage})
		require.NoError(t, err)
	}
	_, err = js.CreateConsumer(t.Context(), "IN", jetstream.ConsumerConfig{Durable: "postdate", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 2 * time.Second})
	require.NoError(t, err)
	reader, err := js.OrderedConsumer(t.Context(), "OUT", jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	reading, err := reader.Consume(func(m jetstream.Msg) { seen.note(m.Data(), m.Headers().Get("webhook-id")) })
	require.NoError(t, err)
	t.Cleanup(reading.Stop)
	return func(n int) {
		eventually.True(t, func() bool { // the connection may not be back yet
			bounded, stop := context.WithTimeout(t.Context(), 2*time.Second)
			defer stop()
			_, err := js.Publish(bounded, "in", numbered(n), jetstream.WithMsgID(fmt.Sprint(n)))
			return err == nil
		})
	}
}
