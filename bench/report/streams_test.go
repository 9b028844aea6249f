package report

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestStreams_SayHowFastEachWayIs(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_800_000_000, 0)
	load := StreamLoadOf("from nats", []*rig.Message{
		{Sent: began, Received: began.Add(time.Second), Copies: 1}, {Sent: began, Received: began.Add(2 * time.Second), Copies: 3},
	}, began, began.Add(4*time.Second), 3*time.Millisecond)
	require.Equal(t, StreamLoad{
		Way: "from nats", Messages: 2, TakenPerS: 0.5, DeliveredPerS: 1, CPUMSEach: 1.5, ReceiptMS: &Quantiles{P50: 1000, P99: 2000, Max: 2000}, Twice: 2,
	}, load)
	streams := &Streams{StreamLoads: []StreamLoad{load}}
	require.InDelta(t, 1.0, streams.Rate("from nats"), 0)
	require.Zero(t, streams.Rate("from kafka"))
	var table bytes.Buffer
	WriteTable(&table, []Result{{Streams: streams}}, nil)
	require.Contains(t, table.String(), "from nats: 2 messages, 0/s taken, 1/s delivered, 1.50 CPU ms each, receipt 1000 ms p50, 2000 ms p99; 2 twice")
	require.NotNil(t, jsonOf(t, Result{Streams: streams})["stream_loads"])
}
