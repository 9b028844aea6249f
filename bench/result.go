package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// measured is what one scenario came to in one child.
type measured struct {
	*pending
	*overloadFigures
	*crowd

	items []*item
	// since is the moment from which delivered/s counts: the first request, or
	// the instant at which all were due.
	since time.Time
	// cpu is the child's, from the first request until it was quiet again, not
	// counting what it idled through in between. Zero: not worth telling.
	cpu  time.Duration
	peak int64 // most bytes of memory held in the meantime
	// transitions are the engine's, of all executions that carried a message. Zero: not asked.
	transitions float64
	// statements are the database's, from the first request on. Zero: not counted.
	statements int64
}

// result is one line of the table, and of the JSON.
type result struct {
	*pending
	*overloadFigures
	*crowd

	Scenario string `json:"scenario"`
	Engine   string `json:"engine"`
	Messages int    `json:"messages"`

	AcceptedPerS float64 `json:"accepted_per_s,omitempty"`
	// DeliveredPerS and CPUMSPerDelivery stand in every line: 0 where they were not
	// measured.
	DeliveredPerS float64 `json:"delivered_per_s"`
	// DeliveredPerSRounds are the same by round: how far they scatter says what
	// the ratio is worth.
	DeliveredPerSRounds []float64  `json:"delivered_per_s_rounds,omitempty"`
	CPUMSPerDelivery    float64    `json:"cpu_ms_per_delivery"`
	RatioToFloor        float64    `json:"ratio_to_floor,omitempty"`
	RatioToNaive        float64    `json:"ratio_to_naive,omitempty"`
	CPURatioToNaive     float64    `json:"cpu_ratio_to_naive,omitempty"`
	RatioToBatch16      float64    `json:"ratio_to_batch_16,omitempty"`
	LatenessMS          *quantiles `json:"lateness_ms,omitempty"`
	ReceiptMS           *quantiles `json:"receipt_ms,omitempty"`
	// TransitionsPerDelivery are the engine's state transitions, each of which the
	// database keeps, and StatementsPerDelivery what PostgreSQL served meanwhile.
	TransitionsPerDelivery float64 `json:"state_transitions_per_delivery,omitempty"`
	StatementsPerDelivery  float64 `json:"statements_per_delivery,omitempty"`
	Duplicates             int     `json:"duplicates"`
	PeakRSSMB              float64 `json:"peak_rss_mb,omitempty"`

	Machine string `json:"machine"`
}

// summarise adds up the rounds of a scenario: counts and times are added before
// they are divided, and latencies stand in one heap, so that no round counts
// for more than its messages.
func summarise(scenario, engine string, rounds []*measured) result {
	r := result{Scenario: scenario, Engine: engine, Machine: machine()}
	var accepting, delivering, cpu time.Duration
	var delivered int
	var timed []*item
	var receipt []time.Duration
	var transitions float64
	var statements int64
	for _, m := range rounds {
		first, accepted, received := m.span()
		accepting += accepted.Sub(first)
		cpu += m.cpu
		r.Messages += len(m.items)
		r.PeakRSSMB = max(r.PeakRSSMB, mebibytes(m.peak))
		r.pending, r.overloadFigures, r.crowd = m.pending, m.overloadFigures, m.crowd
		if received.IsZero() {
			continue
		}
		delivered += len(m.items)
		transitions += m.transitions
		statements += m.statements
		delivering += received.Sub(m.since)
		r.DeliveredPerSRounds = append(r.DeliveredPerSRounds, perSecond(len(m.items), received.Sub(m.since)))
		for _, i := range m.items {
			r.Duplicates += i.copies - 1
			if i.due.IsZero() {
				receipt = append(receipt, i.received.Sub(i.sent))
			} else {
				timed = append(timed, i)
			}
		}
	}
	r.AcceptedPerS = perSecond(r.Messages, accepting)
	r.DeliveredPerS = perSecond(delivered, delivering)
	if delivered > 0 {
		r.CPUMSPerDelivery = each(cpu, delivered)
		r.TransitionsPerDelivery = hundredths(transitions / float64(delivered))
		r.StatementsPerDelivery = hundredths(float64(statements) / float64(delivered))
	}
	r.ReceiptMS, r.LatenessMS = quantilesOf(receipt), latenessOf(timed)
	return r
}

// span is when the first request began, when the last was answered, and when
// the last message came: zero where none were to come.
func (m *measured) span() (first, accepted, received time.Time) {
	first = m.items[0].sent
	for _, i := range m.items {
		if i.sent.Before(first) {
			first = i.sent
		}
		if i.accepted.After(accepted) {
			accepted = i.accepted
		}
		if i.received.After(received) {
			received = i.received
		}
	}
	return first, accepted, received
}

// compare puts r beside the others in the same scenario.
func (r *result) compare(all []result) {
	beside, ours := standards[r.Engine]
	if !ours {
		return
	}
	for _, other := range all {
		if other.Scenario != r.Scenario || other.DeliveredPerS == 0 {
			continue
		}
		ratio := hundredths(r.DeliveredPerS / other.DeliveredPerS)
		switch other.Engine {
		case beside.floor:
			r.RatioToFloor = ratio
		case beside.naive:
			r.RatioToNaive = ratio
		case beside.batch16:
			r.RatioToBatch16 = ratio
		}
		if other.Engine == beside.naive && other.CPUMSPerDelivery > 0 {
			r.CPURatioToNaive = hundredths(r.CPUMSPerDelivery / other.CPUMSPerDelivery)
		}
	}
}

func writeJSON(w io.Writer, results []result) error {
	lines := json.NewEncoder(w)
	for _, r := range results {
		if err := lines.Encode(r); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}

// keepResults writes the JSON lines into a new file in dir, unless that is "".
func keepResults(dir string, results []result) error {
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
	return errors.Join(writeJSON(file, results), file.Close())
}

// machine says what the figures were measured on.
func machine() string {
	return fmt.Sprintf("%d cores, %s, %s/%s, %s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}
