package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postdate/postdate/internal/eventually"
)

// newNATS starts a broker in this process, with the stream PAYMENTS. An empty folder is
// filled; port -1 is any.
func newNATS(t *testing.T, folder string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: folder, NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(20*time.Second))
	return s
}

func paymentsStream(t *testing.T, s *server.Server) jetstream.Stream {
	t.Helper()
	conn, err := natsgo.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{
		Name: "PAYMENTS", Subjects: []string{"payments.*"}, MaxMsgSize: 16 << 10, Storage: jetstream.FileStorage,
	})
	require.NoError(t, err)
	return stream
}

// awaitMessage waits for a message of that id in the stream.
func awaitMessage(t *testing.T, stream jetstream.Stream, id string) *jetstream.RawStreamMsg {
	t.Helper()
	var found *jetstream.RawStreamMsg
	eventually.True(t, func() bool {
		info, err := stream.Info(t.Context())
		if err != nil {
			return false
		}
		for sequence := uint64(1); sequence <= info.State.LastSeq; sequence++ {
			if m, err := stream.GetMsg(t.Context(), sequence); err == nil && m.Header.Get("webhook-id") == id {
				found = m
				return true
			}
		}
		return false
	}, id+" did not arrive")
	return found
}

func TestMessagesGoToStreams(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	broker := newNATS(t, folder, -1)
	stream := paymentsStream(t, broker)
	p := newDevProcess(t, "POSTDATE_STREAMS="+fmt.Sprintf(`[
		{"name": "payments", "url": %q, "stream": "PAYMENTS", "subject": "payments.due", "tenants": ["default"]},
		{"name": "nowhere", "url": "nats://127.0.0.1:1", "stream": "X", "subject": "x", "tenants": ["*"]}]`, broker.ClientURL()))

	eventually.True(t, func() bool {
		_, ready := p.call(http.MethodGet, "/readyz", nil)
		return fmt.Sprint(ready["streams"]) == "[map[kind:nats name:payments state:ready] map[kind:nats name:nowhere state:unreachable]]"
	})
	require.Contains(t, p.log.String(), "failed to reach a stream")
	_, list := p.callAs("globex", http.MethodGet, "/v1/streams", nil)
	require.Len(t, list["data"], 1, "a tenant sees what it may use")

	to := func(id, stream string) map[string]any {
		request := schedule(id, "0s", "")
		request["to"] = map[string]any{"stream": stream}
		return request
	}
	status, answer := p.callAs("globex", http.MethodPost, "/v1/schedules", to("x", "payments"))
	require.Equal(t, http.StatusUnprocessableEntity, status, answer)
	require.Contains(t, fmt.Sprint(answer), "/to/stream")

	status, answer = p.call(http.MethodPost, "/v1/schedules", to("one", "payments"))
	require.Equal(t, http.StatusCreated, status, answer)
	got := awaitMessage(t, stream, "one")
	require.Equal(t, "payment_request.due", got.Header.Get("ce-type"))
	require.JSONEq(t, `{"payment_request":"one"}`, string(got.Data))
	awaitState(p, "one", "delivered")

	tooLarge := to("large", "payments")
	tooLarge["data"] = strings.Repeat("x", 17<<10)
	status, answer = p.call(http.MethodPost, "/v1/schedules", tooLarge)
	require.Equal(t, http.StatusCreated, status, answer)
	answer = awaitState(p, "large", "dead")
	require.Contains(t, answer["reason"], "it can never be sent there: too large")
	require.Len(t, answer["attempts"], 1)

	status, answer = p.call(http.MethodPost, "/v1/streams/payments/test", nil)
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, fmt.Sprint(answer["attempt"]), "stream PAYMENTS, sequence")
	status, answer = p.call(http.MethodPost, "/v1/streams/nowhere/test", nil)
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, fmt.Sprint(answer["attempt"]), "no connection to the broker: connection refused")

	// The broker is gone for a while: what is due then arrives once it is back.
	port := broker.Addr().(*net.TCPAddr).Port
	broker.Shutdown()
	broker.WaitForShutdown()
	status, answer = p.call(http.MethodPost, "/v1/schedules", to("away", "payments"))
	require.Equal(t, http.StatusCreated, status, answer)
	awaitState(p, "away", "retrying")
	stream = paymentsStream(t, newNATS(t, folder, port))
	awaitMessage(t, stream, "away")
	awaitState(p, "away", "delivered")
	p.stop(syscall.SIGTERM)
}

// awaitState waits until the schedule is in that state, and answers it.
func awaitState(p *program, id, state string) map[string]any {
	p.t.Helper()
	var answer map[string]any
	eventually.True(p.t, func() bool {
		_, answer = p.call(http.MethodGet, "/v1/deliveries/"+id, nil)
		return answer["state"] == state
	}, id+" is not "+state)
	return answer
}

func TestAnEndpointCanBeAStream(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	broker := newNATS(t, folder, -1)
	stream := paymentsStream(t, broker)
	p := newDevProcess(t, "POSTDATE_STREAMS="+fmt.Sprintf(
		`[{"name": "payments", "url": %q, "stream": "PAYMENTS", "subject": "payments.due", "tenants": ["*"]}]`, broker.ClientURL()))

	status, answer := p.call(http.MethodPost, "/v1/endpoints", map[string]any{"id": "ep_s", "stream": "payments", "event_types": []string{"payment.*"}, "mode": "standard"})
	require.Equal(t, http.StatusUnprocessableEntity, status, answer)
	status, endpoint := p.call(http.MethodPost, "/v1/endpoints", map[string]any{
		"stream": "payments", "event_types": []string{"payment.*"}, "mode": "cloudevents_structured", "headers": map[string]string{"x-team": "billing"},
	})
	require.Equal(t, http.StatusCreated, status, endpoint)
	require.Equal(t, "payments", endpoint["stream"])
	require.NotContains(t, endpoint, "url")
	id := endpoint["id"].(string)

	publish := func(event string) {
		status, answer := p.call(http.MethodPost, "/v1/events", map[string]any{"id": event, "type": "payment.paid", "entity": "pr_1", "data": 1})
		require.Equal(t, http.StatusAccepted, status, answer)
	}
	publish("evt_1")
	got := awaitMessage(t, stream, "evt_1")
	require.Equal(t, "application/cloudevents+json", got.Header.Get("content-type"))
	require.Equal(t, "billing", got.Header.Get("x-team"))
	require.Equal(t, "default/evt_1."+id, got.Header.Get("Nats-Msg-Id"))
	require.Contains(t, string(got.Data), `"subject":"pr_1"`)

	status, answer = p.call(http.MethodPost, "/v1/endpoints/"+id+"/test", nil)
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, fmt.Sprint(answer["attempt"]), "outcome:accepted")

	status, answer = p.call(http.MethodPost, "/v1/endpoints/"+id+"/pause", nil)
	require.Equal(t, http.StatusOK, status, answer)
	publish("evt_2")
	awaitState(p, "evt_2."+id, "parked")
	status, answer = p.call(http.MethodPost, "/v1/endpoints/"+id+"/resume", nil)
	require.Equal(t, http.StatusOK, status, answer)
	awaitMessage(t, stream, "evt_2")
	awaitState(p, "evt_2."+id, "delivered")
	status, answer = p.call(http.MethodGet, "/v1/endpoints/"+id+"/health", nil)
	require.Equal(t, http.StatusOK, status, answer)
	require.Equal(t, "closed", answer["breaker"])

	status, answer = p.call(http.MethodPatch, "/v1/endpoints/"+id, map[string]any{"url": "https://crm.example/hooks"})
	require.Equal(t, http.StatusUnprocessableEntity, status, answer)
}

func TestMessagesGoToKafka(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "payments"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	file := filepath.Join(t.TempDir(), "streams.json")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil,
		`[{"name": "payments", "url": "kafka://%s", "topic": "payments", "tenants": ["*"]}]`, cluster.ListenAddrs()[0]), 0o600))
	p := newDevProcess(t, "POSTDATE_STREAMS=@"+file)
	missing := map[string]bool{}
	for i := range 100 {
		id := fmt.Sprintf("due-%d", i)
		missing[id] = true
		request := schedule(id, "1s", "")
		request["to"] = map[string]any{"stream": "payments"}
		status, answer := p.call(http.MethodPost, "/v1/schedules", request)
		require.Equal(t, http.StatusCreated, status, answer)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("payments"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	records := 0
	for len(missing) > 0 {
		require.NoError(t, ctx.Err(), "%d of 100 did not arrive", len(missing))
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			records++
			for _, h := range r.Headers {
				if h.Key == "webhook-id" {
					delete(missing, string(h.Value))
				}
			}
		})
	}
	require.Equal(t, 100, records, "each arrives once")
}

func TestStreamsThatCannotBeMeantStopTheStart(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		`POSTDATE_STREAMS=[{"name":"a","url":"redis://:s3cret@r","tenants":["*"]}]`: `configuration: POSTDATE_STREAMS: stream 1 ("a"): url: the scheme "redis" is not known`,
		`POSTDATE_STREAMS=@/nowhere.json`:                                           `configuration: POSTDATE_STREAMS: open /nowhere.json`,
		`POSTDATE_STREAMS_FILE=/nowhere.json`:                                       `configuration: POSTDATE_STREAMS_FILE: open /nowhere.json`,
	} {
		_, err := loadConfig([]string{setting})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cret")
	}
}
