package main

import (
	"fmt"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postdate/postdate/internal/eventually"
)

func TestRecordsOfKafkaBecomeEventsAndSchedules(t *testing.T) {
	t.Parallel()
	cluster, client := newKafka(t, "in", "out", "rejected")
	p := newDevProcess(t, kafkaRoundTrip(cluster, `"tenant": "default", "dead_letter": "rejected"`))
	status, answer := p.call(http.MethodPost, "/v1/endpoints", map[string]any{"stream": "out", "event_types": []string{"order.*"}, "key": "/n"})
	require.Equal(t, http.StatusCreated, status, answer)
	require.Equal(t, "/n", answer["key"])
	out, rejected := readTopic(t, cluster, "out", "ce_type"), readTopic(t, cluster, "rejected", "postdate-position")

	due := time.Now().Add(2 * time.Second).UTC()
	header := func(name, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: []byte(value)} }
	binary := []kgo.RecordHeader{
		header("ce_specversion", "1.0"), header("ce_id", "1"), header("ce_source", "/shop"), header("ce_type", "order.binary"),
		header("content-type", "application/json"), header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
	}
	produce(t, client,
		&kgo.Record{Topic: "in", Value: []byte(`{"type": "order.own", "data": {"n": 1}}`)},
		&kgo.Record{Topic: "in", Value: []byte(`{"id": "order-7", "type": "order.named", "data": {"n": 2}}`)},
		&kgo.Record{Topic: "in", Value: []byte(`{"n": 3}`), Headers: binary},
		&kgo.Record{Topic: "in", Value: []byte(`{"n": 3}`), Headers: binary}, // its sender repeats itself
		&kgo.Record{
			Topic: "in", Value: []byte(`{"specversion": "1.0", "id": "2", "source": "/shop", "type": "order.structured", "data": {"n": 4}}`),
			Headers: []kgo.RecordHeader{header("content-type", "application/cloudevents+json")},
		},
		&kgo.Record{
			Topic: "in", Value: []byte(`{"specversion": "1.0", "id": "3", "source": "/shop", "type": "order.later", "data": {"n": 5}}`),
			Headers: []kgo.RecordHeader{header("postdate-due-at", due.Format(time.RFC3339Nano))},
		},
		&kgo.Record{Topic: "in", Value: []byte(`{"id": "expiry-1", "type": "order.due", "delay": "1s", "to": {"stream": "out"}}`)},
		&kgo.Record{Topic: "in", Value: []byte(`{"type": "order.due_too", "delay": "1s", "to": {"stream": "out"}}`)},
		&kgo.Record{Topic: "in", Value: []byte(`not JSON`), Headers: []kgo.RecordHeader{header("x-own", "kept")}},
		&kgo.Record{Topic: "in", Value: []byte(`{"type": "order.wrong", "entiti": "x"}`)},
		&kgo.Record{Topic: "in", Value: []byte(`{"type": "order.due", "delay": "1s", "to": {"stream": "in"}}`)},
		&kgo.Record{Topic: "in", Value: []byte(`{"id": "order-7", "type": "order.named", "data": {"n": "another"}}`)},
	)
	eventually.True(t, func() bool {
		_, arrived := out.distinct()
		_, dead := rejected.distinct()
		return arrived >= 7 && dead >= 4
	})
	eventually.True(t, func() bool { return p.consumption()["lag"] == 0.0 })
	var types []string
	for _, record := range out.all() {
		types = append(types, headerOf(record, "ce_type"))
		if headerOf(record, "ce_type") == "order.binary" {
			require.Equal(t, "3", string(record.Key), "the endpoint says where the data have it")
			require.Equal(t, "1", headerOf(record, "ce_id"))
			require.Equal(t, "/shop", headerOf(record, "ce_source"))
			require.Contains(t, headerOf(record, "traceparent"), "0af7651916cd43dd8448eb211c80319c", "the record's trace goes on")
		}
		if headerOf(record, "ce_type") == "order.later" {
			require.False(t, record.Timestamp.Before(due.Truncate(time.Millisecond)), "it leaves when it is due")
		}
	}
	require.ElementsMatch(t, []string{
		"order.own", "order.named", "order.binary", "order.structured", "order.later", "order.due", "order.due_too",
	}, types, "what a sender repeats starts nothing")
	status, answer = p.call(http.MethodGet, "/v1/schedules/expiry-1", nil)
	require.Equal(t, http.StatusOK, status, answer)

	reasons := map[string]string{}
	for _, record := range rejected.all() {
		require.Contains(t, headerOf(record, "postdate-position"), "topic in, partition 0, offset ")
		require.Equal(t, "in", headerOf(record, "postdate-stream"))
		reasons[string(record.Value)] = headerOf(record, "postdate-code") + ": " + headerOf(record, "postdate-reason")
		if string(record.Value) == "not JSON" {
			require.Equal(t, "kept", headerOf(record, "x-own"))
		}
	}
	require.Len(t, reasons, 4)
	require.Contains(t, reasons[`not JSON`], "malformed: ")
	require.Contains(t, reasons[`{"type": "order.wrong", "entiti": "x"}`], "invalid: /entiti")
	require.Contains(t, reasons[`{"type": "order.due", "delay": "1s", "to": {"stream": "in"}}`], `there is no stream "in"`)

	shown := p.consumption()
	require.Equal(t, "reading", shown["state"])
	require.EqualValues(t, 4, shown["rejected"])
	require.EqualValues(t, 8, shown["accepted"])
	require.Contains(t, shown["last_error"], "was rejected")
	p.stop(syscall.SIGTERM)
	require.NotContains(t, p.log.String(), "level=ERROR")
}

// TestNothingOfKafkaIsLostOrTakenTwice kills the process amid many records, twice: all arrive,
// and each record is one event.
func TestNothingOfKafkaIsLostOrTakenTwice(t *testing.T) {
	t.Parallel()
	const records, rounds = 3000, 3
	cluster, client := newKafka(t, "in", "out", "rejected")
	p := newDevProcess(t, kafkaRoundTrip(cluster, `"tenant": "default"`))
	seen := newDataCounter(t)
	p.subscribe("url", seen.url, "*")
	var all []*kgo.Record
	for n := range records {
		all = append(all, &kgo.Record{Topic: "in", Partition: int32(n % 3), Value: fmt.Appendf(nil, `{"type": "order.paid", "data": {"n": %d}}`, n)})
	}
	for round := range rounds {
		before := seen.distinct()
		produce(t, client, all[round*records/rounds:(round+1)*records/rounds]...)
		if round < rounds-1 {
			eventually.True(t, func() bool { return seen.distinct() > before+100 })
			p.stop(syscall.SIGKILL)
			p.start()
		}
	}
	eventually.True(t, func() bool { return seen.distinct() == records })
	eventually.True(t, func() bool { return p.consumption()["lag"] == 0.0 })
	for n, ids := range seen.ids() {
		require.Len(t, ids, 1, "record %d became several events", n)
	}
	p.stop(syscall.SIGTERM)
}

func TestRecordsOfNATSBecomeEvents(t *testing.T) {
	t.Parallel()
	const records = 1500
	broker := newNATS(t, t.TempDir(), -1)
	conn, err := natsgo.Connect(broker.ClientURL())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.*"}})
	require.NoError(t, err)
	rejected, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "REJECTED", Subjects: []string{"rejected"}})
	require.NoError(t, err)
	durable, err := js.CreateConsumer(t.Context(), "ORDERS", jetstream.ConsumerConfig{
		Durable: "postdate", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 2 * time.Second,
		MaxAckPending: 100, // fewer than are read at once
	})
	require.NoError(t, err)
	p := newDevProcess(t, "POSTDATE_STREAMS="+fmt.Sprintf(`[
		{"name": "orders", "url": %[1]q, "stream": "ORDERS", "tenants": ["acme"], "consume": {"consumer": "postdate", "tenant_header": "x-tenant", "dead_letter": "rejected"}},
		{"name": "rejected", "url": %[1]q, "stream": "REJECTED", "subject": "rejected", "tenants": []}]`, broker.ClientURL()))
	seen := newDataCounter(t)
	status, answer := p.callAs("acme", http.MethodPost, "/v1/endpoints", map[string]any{"url": seen.url, "event_types": []string{"*"}})
	require.Equal(t, http.StatusCreated, status, answer)
	publish := func(n int, tenant string) {
		m := &natsgo.Msg{Subject: "orders.paid", Header: natsgo.Header{"X-Tenant": {tenant}}, Data: fmt.Appendf(nil, `{"type": "order.paid", "data": {"n": %d}}`, n)}
		_, err := js.PublishMsgAsync(m)
		require.NoError(t, err)
	}
	for n := range records {
		publish(n, "acme")
	}
	publish(-1, "globex")
	eventually.True(t, func() bool { return seen.distinct() > 300 })
	p.stop(syscall.SIGKILL)
	p.start()
	eventually.True(t, func() bool { return seen.distinct() == records }, "not all have arrived")
	eventually.True(t, func() bool {
		info, err := durable.Info(t.Context())
		require.NoError(t, err)
		return info.NumAckPending == 0 && info.NumPending == 0
	})
	for n, ids := range seen.ids() {
		require.Len(t, ids, 1, "record %d became several events", n)
	}
	letter, err := rejected.GetLastMsgForSubject(t.Context(), "rejected")
	require.NoError(t, err)
	require.Contains(t, letter.Header.Get("postdate-reason"), `"globex", which is no tenant of this stream`)
	require.Equal(t, "stream ORDERS, sequence 1501", letter.Header.Get("postdate-position"))
	p.stop(syscall.SIGTERM)
}

// TestAStreamStopsAtWhatItCannotTake has no dead letters, and then somewhere for them.
func TestAStreamStopsAtWhatItCannotTake(t *testing.T) {
	t.Parallel()
	cluster, client := newKafka(t, "in", "out", "rejected")
	p := newDevProcess(t, kafkaRoundTrip(cluster, `"tenant": "default"`))
	p.subscribe("stream", "out", "*")
	out := readTopic(t, cluster, "out", "ce_type")
	produce(t, client,
		&kgo.Record{Topic: "in", Value: []byte(`{"type": "before"}`)}, &kgo.Record{Topic: "in", Value: []byte(`{}`)}, &kgo.Record{Topic: "in", Value: []byte(`{"type": "behind"}`)},
		&kgo.Record{Topic: "in", Partition: 1, Value: []byte(`{"type": "elsewhere"}`)},
	)
	eventually.True(t, func() bool { values, _ := out.distinct(); return values == 2 })
	eventually.True(t, func() bool { return p.consumption()["state"] == "stopped" })
	require.Contains(t, p.consumption()["reason"], "stopped at topic in, partition 0, offset 1, which cannot be taken: /type")
	values, _ := out.distinct()
	require.Equal(t, 2, values, "nothing goes on behind it")
	p.stop(syscall.SIGTERM)
	p.env = []string{kafkaRoundTrip(cluster, `"tenant": "default", "dead_letter": "rejected"`)}
	p.start()
	eventually.True(t, func() bool { values, _ := out.distinct(); return values == 3 })
	values, records := out.distinct()
	require.Equal(t, values, records)
	p.stop(syscall.SIGTERM)
}

// TestQuotasSlowAStreamDown has a tenant that may keep few messages: the others wait in the
// stream, and none goes to the dead letters.
func TestQuotasSlowAStreamDown(t *testing.T) {
	t.Parallel()
	cluster, client := newKafka(t, "in", "out", "rejected")
	p := newDevProcess(t, kafkaRoundTrip(cluster, `"tenant": "default", "dead_letter": "rejected"`), "POSTDATE_TENANT_PENDING_MESSAGES=10")
	for n := range 20 {
		produce(t, client, &kgo.Record{Topic: "in", Value: fmt.Appendf(nil, `{"id": "later-%d", "type": "later", "delay": "1h"}`, n)})
	}
	eventually.True(t, func() bool { return p.consumption()["state"] == "slowed" })
	require.Contains(t, p.consumption()["reason"], "may have 10 messages pending")
	status, answer := p.call(http.MethodGet, "/v1/schedules/later-19", nil)
	require.Equal(t, http.StatusNotFound, status, answer)
	eventually.True(t, func() bool {
		for n := range 20 { // each that is cancelled makes room
			p.call(http.MethodDelete, "/v1/schedules/later-"+strconv.Itoa(n), nil)
		}
		status, _ := p.call(http.MethodGet, "/v1/schedules/later-19", nil)
		return status == http.StatusOK
	})
	require.EqualValues(t, 0, p.consumption()["rejected"])
	p.stop(syscall.SIGTERM)
}
