package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

// round is one in which n messages were sent every 10 ms, accepted 1 ms and
// received 5 ms later.
func round(n int, cpu time.Duration) *Measured {
	start := time.Unix(1_800_000_000, 0)
	m := &Measured{Since: start, CPU: cpu, PeakMemory: int64(n) << 20}
	for i := range n {
		sent := start.Add(time.Duration(i) * 10 * time.Millisecond)
		m.Messages = append(m.Messages, &rig.Message{
			Sent: sent, Accepted: sent.Add(time.Millisecond), Received: sent.Add(5 * time.Millisecond), Copies: 1,
		})
	}
	return m
}

func TestSummarise_AddsUpTheRoundsBeforeItDivides(t *testing.T) {
	t.Parallel()
	r := Summarise("immediate", "sqlite", []*Measured{round(10, 100*time.Millisecond), round(20, 50*time.Millisecond)})
	require.Equal(t, 30, r.Messages)
	require.InDelta(t, PerSecond(30, 95*time.Millisecond+195*time.Millisecond), r.DeliveredPerS, 0)
	require.InDelta(t, PerSecond(30, 91*time.Millisecond+191*time.Millisecond), r.AcceptedPerS, 0)
	require.Equal(t, []float64{PerSecond(10, 95*time.Millisecond), PerSecond(20, 195*time.Millisecond)}, r.DeliveredPerSRounds)
	require.InDelta(t, 5.0, r.CPUMSPerDelivery, 0)
	require.InDelta(t, 20.0, r.PeakRSSMB, 0)
	require.Equal(t, &Quantiles{P50: 5, P99: 5, Max: 5}, r.ReceiptMS)
	require.Nil(t, r.LatenessMS, "none was due at a time")
}

func TestSummarise_CountsLatenessFromWhenItWasDueAndCopiesBeyondTheFirst(t *testing.T) {
	t.Parallel()
	m := round(2, 0)
	m.Messages[1].Due = m.Messages[1].Received.Add(-3 * time.Millisecond)
	m.Messages[1].Copies = 3
	r := Summarise("steady", "sqlite", []*Measured{m})
	require.Equal(t, &Quantiles{First: 3, P50: 3, P99: 3, Max: 3}, r.LatenessMS)
	require.Equal(t, &Quantiles{P50: 5, P99: 5, Max: 5}, r.ReceiptMS, "only of what was due at once")
	require.Equal(t, 2, r.Duplicates)
}

func TestSummarise_OfWhatIsNotDueSaysOnlyHowItWasAccepted(t *testing.T) {
	t.Parallel()
	m := round(10, 0)
	for _, message := range m.Messages {
		message.Received, message.Copies = time.Time{}, 0
	}
	m.Pending = &Pending{BytesOnDiskPerSchedule: 42}
	r := Summarise("far_future", "sqlite", []*Measured{m})
	require.Positive(t, r.AcceptedPerS)
	require.Zero(t, r.DeliveredPerS)
	require.Zero(t, r.Duplicates)

	fields := jsonOf(t, r)
	require.InDelta(t, 42.0, fields["bytes_on_disk_per_schedule"], 0)
	require.InDelta(t, 0.0, fields["delivered_per_s"], 0)
	require.InDelta(t, 0.0, fields["cpu_ms_per_delivery"], 0)
	require.NotContains(t, fields, "lateness_ms")
}

// jsonOf is r as a JSON line has it.
func jsonOf(t *testing.T, r Result) map[string]any {
	t.Helper()
	var line bytes.Buffer
	require.NoError(t, WriteJSON(&line, []Result{r}))
	var fields map[string]any
	require.NoError(t, json.Unmarshal(line.Bytes(), &fields))
	return fields
}

func TestSummarise_SharesOutTheWorkOfEngineAndDatabaseOverAllRounds(t *testing.T) {
	t.Parallel()
	first, second := round(10, 0), round(20, 0)
	first.Transitions, second.Transitions = 40, 80
	first.Statements, second.Statements = 600, 1200
	r := Summarise("due_at_once", "postgres", []*Measured{first, second})
	require.InDelta(t, 4.0, r.TransitionsPerDelivery, 0)
	require.InDelta(t, 60.0, r.StatementsPerDelivery, 0)
	var table bytes.Buffer
	WriteTable(&table, []Result{r}, nil)
	require.Contains(t, table.String(), "4.00 state transitions of the engine each")
	require.Contains(t, table.String(), "60.00 statements of the database each")
}

func TestKeep_WritesALineForEachRow(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "results")
	require.NoError(t, Keep(dir, []Result{{Scenario: "immediate", System: "sqlite"}, {Scenario: "steady"}}))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	text, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	require.Len(t, lines, 2)
	var first Result
	require.NoError(t, json.Unmarshal(lines[0], &first))
	require.Equal(t, "immediate", first.Scenario)
	require.Equal(t, "sqlite", first.System)
}
