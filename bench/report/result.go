// Package report turns what scenarios measured into figures: one JSON line and one
// row of the table for each scenario and system, and whether the targets were met.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Result is one row of the table, and one line of JSON.
type Result struct {
	*Pending
	*SlowReceiver
	*NoisyTenant
	*Hanging
	*Inbound
	*Imported
	*Streams
	*Crashes

	Scenario string `json:"scenario"`
	System   string `json:"engine"`
	Messages int    `json:"messages"`

	AcceptedPerS float64 `json:"accepted_per_s,omitempty"`
	// DeliveredPerS and CPUMSPerDelivery stand in every line: 0 where they were not
	// measured.
	DeliveredPerS float64 `json:"delivered_per_s"`
	// DeliveredPerSRounds are the same by round: how far they scatter is how much a
	// ratio is worth.
	DeliveredPerSRounds []float64  `json:"delivered_per_s_rounds,omitempty"`
	CPUMSPerDelivery    float64    `json:"cpu_ms_per_delivery"`
	RatioToFloor        float64    `json:"ratio_to_floor,omitempty"`
	RatioToNaive        float64    `json:"ratio_to_naive,omitempty"`
	CPURatioToNaive     float64    `json:"cpu_ratio_to_naive,omitempty"`
	RatioToBatch16      float64    `json:"ratio_to_batch_16,omitempty"`
	LatenessMS          *Quantiles `json:"lateness_ms,omitempty"`
	ReceiptMS           *Quantiles `json:"receipt_ms,omitempty"`
	// TransitionsPerDelivery are Temporal's state transitions, each of which the
	// database keeps, and StatementsPerDelivery what PostgreSQL served in that time.
	TransitionsPerDelivery float64 `json:"state_transitions_per_delivery,omitempty"`
	StatementsPerDelivery  float64 `json:"statements_per_delivery,omitempty"`
	Duplicates             int     `json:"duplicates"`
	// LongTasks is how many workflow tasks of endpoints took longer than 200 ms.
	LongTasks *int    `json:"long_tasks,omitempty"`
	PeakRSSMB float64 `json:"peak_rss_mb,omitempty"`
	// OthersMS is the lateness of another tenant's messages, where many were due at once.
	OthersMS *Quantiles `json:"other_tenant_lateness_ms,omitempty"`

	Machine string `json:"machine"`
}

// Summarise adds up the rounds of a scenario on one system: counts and times are
// added before they are divided, and latencies are taken together, so that no round
// counts for more than its messages.
func Summarise(scenario, system string, rounds []*Measured) Result {
	r := Result{Scenario: scenario, System: system, Machine: machine()}
	var accepting, delivering, cpu time.Duration
	var delivered int
	var immediate, timed []*rig.Message
	var transitions float64
	var statements int64
	for _, m := range rounds {
		first, accepted, received := m.span()
		accepting += accepted.Sub(first)
		cpu += m.CPU
		r.Messages += len(m.Messages)
		r.PeakRSSMB = max(r.PeakRSSMB, Mebibytes(m.PeakMemory))
		r.Pending, r.SlowReceiver, r.NoisyTenant, r.Hanging, r.Crashes = m.Pending, m.SlowReceiver, m.NoisyTenant, m.Hanging, m.Crashes
		r.Inbound, r.Imported, r.Streams, r.OthersMS = m.Inbound, m.Imported, m.Streams, m.OthersMS
		if m.LongTasks != nil {
			r.LongTasks = new(*m.LongTasks + valueOf(r.LongTasks))
		}
		if received.IsZero() {
			continue
		}
		delivered += len(m.Messages)
		transitions += m.Transitions
		statements += m.Statements
		delivering += received.Sub(m.Since)
		r.DeliveredPerSRounds = append(r.DeliveredPerSRounds, PerSecond(len(m.Messages), received.Sub(m.Since)))
		for _, message := range m.Messages {
			r.Duplicates += message.Copies - 1
			if message.Due.IsZero() {
				immediate = append(immediate, message)
			} else {
				timed = append(timed, message)
			}
		}
	}
	r.AcceptedPerS = PerSecond(r.Messages, accepting)
	r.DeliveredPerS = PerSecond(delivered, delivering)
	if delivered > 0 {
		r.CPUMSPerDelivery = MillisEach(cpu, delivered)
		r.TransitionsPerDelivery = Hundredths(transitions / float64(delivered))
		r.StatementsPerDelivery = Hundredths(float64(statements) / float64(delivered))
	}
	r.ReceiptMS, r.LatenessMS = ReceiptOf(immediate), LatenessOf(timed)
	return r
}

func valueOf(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// machine describes what the figures were measured on.
func machine() string {
	return fmt.Sprintf("%d cores, %s, %s/%s, %s", runtime.NumCPU(), rig.Processor(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// WriteJSON writes a line for each result.
func WriteJSON(w io.Writer, results []Result) error {
	lines := json.NewEncoder(w)
	for _, r := range results {
		if err := lines.Encode(r); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}

// Keep writes the JSON lines into a new file in dir, unless that is "".
func Keep(dir string, results []Result) error {
	if dir == "" || len(results) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // figures are for all to read
		return fmt.Errorf("keep the results: %w", err)
	}
	file, err := os.Create(filepath.Join(dir, time.Now().Format("2006-01-02T150405")+".jsonl"))
	if err != nil {
		return fmt.Errorf("keep the results: %w", err)
	}
	return errors.Join(WriteJSON(file, results), file.Close())
}
