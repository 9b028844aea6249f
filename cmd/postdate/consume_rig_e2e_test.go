package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// newKafka starts brokers of Kafka's protocol in this process, with these topics of three
// partitions each.
func newKafka(t *testing.T, topics ...string) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return cluster, client
}

func produce(t *testing.T, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
}

// topicReader counts what arrives in a topic, by a header.
type topicReader struct {
	mu      sync.Mutex
	records []*kgo.Record
	counts  map[string]int
}

func readTopic(t *testing.T, cluster *kfake.Cluster, topic, header string) *topicReader {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	r, done := &topicReader{counts: make(map[string]int)}, make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			r.mu.Lock()
			fetches.EachRecord(func(record *kgo.Record) {
				r.records = append(r.records, record)
				r.counts[headerOf(record, header)]++
			})
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { stop(); client.Close(); <-done })
	return r
}

func headerOf(record *kgo.Record, name string) string {
	for _, h := range record.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// distinct is how many different values were read, and how many records.
func (r *topicReader) distinct() (values, records int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.counts), len(r.records)
}

func (r *topicReader) all() []*kgo.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*kgo.Record(nil), r.records...)
}

// consumption is what GET /v1/streams shows of the stream "in", which is consumed.
func (p *program) consumption() map[string]any {
	p.t.Helper()
	_, list := p.call(http.MethodGet, "/v1/streams", nil)
	for _, each := range list["data"].([]any) {
		if stream := each.(map[string]any); stream["name"] == "in" {
			shown, _ := stream["consumption"].(map[string]any)
			return shown
		}
	}
	return nil
}

// kafkaRoundTrip are streams from a topic, to a topic, and for what is rejected.
func kafkaRoundTrip(cluster *kfake.Cluster, more string) string {
	address := cluster.ListenAddrs()[0]
	return fmt.Sprintf(`POSTDATE_STREAMS=[
		{"name": "in", "url": "kafka://%[1]s", "topic": "in", "consume": {"group": "postdate", %[2]s}},
		{"name": "out", "url": "kafka://%[1]s", "topic": "out", "tenants": ["*"]},
		{"name": "rejected", "url": "kafka://%[1]s", "topic": "rejected", "tenants": []}]`, address, more)
}

// dataCounter is a receiver that keeps the ids of messages by the number in their data.
type dataCounter struct {
	url string

	mu   sync.Mutex
	seen map[int]map[string]int
}

// subscribe has an endpoint get the events of these types: the "url" or the "stream" of that
// name. It tries again soon, as often as a broker is away: by default the third attempt comes
// after minutes.
func (p *program) subscribe(kind, name string, types ...string) {
	p.t.Helper()
	status, answer := p.call(http.MethodPost, "/v1/endpoints", map[string]any{
		kind: name, "event_types": types, "retry": map[string]any{"schedule": slices.Repeat([]string{"2s"}, 60)},
	})
	require.Equal(p.t, http.StatusCreated, status, answer)
}

func newDataCounter(t *testing.T) *dataCounter {
	t.Helper()
	c := &dataCounter{seen: make(map[int]map[string]int)}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct {
			Data struct {
				N int `json:"n"`
			} `json:"data"`
		}
		if json.NewDecoder(r.Body).Decode(&message) != nil {
			return // of a process that was killed
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.seen[message.Data.N] == nil {
			c.seen[message.Data.N] = make(map[string]int)
		}
		c.seen[message.Data.N][r.Header.Get("Webhook-Id")]++
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// distinct is how many different numbers have arrived.
func (c *dataCounter) distinct() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// ids are the ids of the messages by their numbers.
func (c *dataCounter) ids() map[int]map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.seen)
}
