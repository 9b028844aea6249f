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

	items []*item
	// since is the moment from which delivered/s counts: the first request, or
	// the instant at which all were due.
	since time.Time
	// cpu is the child's, from the first request until it was quiet again, not
	// counting what it idled through in between. Zero: not worth telling.
	cpu  time.Duration
	peak int64 // most bytes of memory held in the meantime
}

// result is one line of the table, and of the JSON.
type result struct {
	*pending
	*overloadFigures

	Scenario string `json:"scenario"`
	Engine   string `json:"engine"`
	Messages int    `json:"messages"`

	AcceptedPerS  float64 `json:"accepted_per_s,omitempty"`
	DeliveredPerS float64 `json:"delivered_per_s,omitempty"`
	// DeliveredPerSRounds are the same by round: how far they scatter says what
	// the ratio is worth.
	DeliveredPerSRounds []float64  `json:"delivered_per_s_rounds,omitempty"`
	CPUMSPerDelivery    float64    `json:"cpu_ms_per_delivery,omitempty"`
	RatioToFloor        float64    `json:"ratio_to_floor,omitempty"`
	RatioToNaive        float64    `json:"ratio_to_naive,omitempty"`
	CPURatioToNaive     float64    `json:"cpu_ratio_to_naive,omitempty"`
	LatenessMS          *quantiles `json:"lateness_ms,omitempty"`
	ReceiptMS           *quantiles `json:"receipt_ms,omitempty"`
	Duplicates          int        `json:"duplicates"`
	PeakRSSMB           float64    `json:"peak_rss_mb,omitempty"`

	Machine string `json:"machine"`
}

// summarise adds up the rounds of a scenario: counts and times are added before
// they are divided, and latencies stand in one heap, so that no round counts
// for more than its messages.
func summarise(scenario, engine string, rounds []*measured) result {
	r := result{Scenario: scenario, Engine: engine, Machine: machine()}
	var accepting, delivering, cpu time.Duration
	var delivered int
	var receipt, lateness []time.Duration
	for _, m := range rounds {
		first, accepted, received := m.span()
		accepting += accepted.Sub(first)
		cpu += m.cpu
		r.Messages += len(m.items)
		r.PeakRSSMB = max(r.PeakRSSMB, mebibytes(m.peak))
		r.pending, r.overloadFigures = m.pending, m.overloadFigures
		if received.IsZero() {
			continue
		}
		delivered += len(m.items)
		delivering += received.Sub(m.since)
		r.DeliveredPerSRounds = append(r.DeliveredPerSRounds, perSecond(len(m.items), received.Sub(m.since)))
		for _, i := range m.items {
			r.Duplicates += i.copies - 1
			if i.due.IsZero() {
				receipt = append(receipt, i.received.Sub(i.sent))
			} else {
				lateness = append(lateness, i.received.Sub(i.due))
			}
		}
	}
	r.AcceptedPerS = perSecond(r.Messages, accepting)
	r.DeliveredPerS = perSecond(delivered, delivering)
	if delivered > 0 {
		r.CPUMSPerDelivery = each(cpu, delivered)
	}
	r.ReceiptMS, r.LatenessMS = quantilesOf(receipt), quantilesOf(lateness)
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
	if r.Engine != sqliteEngine {
		return
	}
	for _, other := range all {
		if other.Scenario != r.Scenario || other.DeliveredPerS == 0 {
			continue
		}
		ratio := hundredths(r.DeliveredPerS / other.DeliveredPerS)
		switch other.Engine {
		case floorEngine:
			r.RatioToFloor = ratio
		case naiveEngine:
			r.RatioToNaive = ratio
		}
		if other.Engine == naiveEngine && other.CPUMSPerDelivery > 0 {
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
