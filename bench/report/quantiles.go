package report

import (
	"math"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Quantiles are of a set of durations, in milliseconds.
type Quantiles struct {
	First float64 `json:"first,omitempty"` // the least, where they are latenesses
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// QuantilesOf returns nil where there are no durations.
func QuantilesOf(times []time.Duration) *Quantiles {
	if len(times) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(times))
	return &Quantiles{
		P50: millis(percentile(sorted, 50)),
		P99: millis(percentile(sorted, 99)),
		Max: millis(sorted[len(sorted)-1]),
	}
}

// LatenessOf is of the times from when messages were due to when they arrived.
func LatenessOf(messages []*rig.Message) *Quantiles {
	late := make([]time.Duration, len(messages))
	for i, m := range messages {
		late[i] = m.Received.Sub(m.Due)
	}
	q := QuantilesOf(late)
	if q != nil {
		q.First = millis(slices.Min(late))
	}
	return q
}

// ReceiptOf is of the times from when messages were sent to when they arrived.
func ReceiptOf(messages []*rig.Message) *Quantiles {
	times := make([]time.Duration, len(messages))
	for i, m := range messages {
		times[i] = m.Received.Sub(m.Sent)
	}
	return QuantilesOf(times)
}

// percentile is the smallest of sorted that at least p of 100 do not exceed
// (nearest rank): always a time that was really measured.
func percentile(sorted []time.Duration, p int) time.Duration {
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// millis is d in milliseconds, to the hundredth.
func millis(d time.Duration) float64 { return Hundredths(float64(d) / float64(time.Millisecond)) }

// Hundredths rounds x to the hundredth, as all figures are.
func Hundredths(x float64) float64 { return math.Round(x*100) / 100 }

// PerSecond returns the rate of n in so long.
func PerSecond(n int, span time.Duration) float64 {
	if span <= 0 {
		return 0
	}
	return Hundredths(float64(n) / span.Seconds())
}

// MillisEach returns how many milliseconds of total fall to each of n.
func MillisEach(total time.Duration, n int) float64 { return millis(total / time.Duration(max(n, 1))) }

// Mebibytes returns n bytes in MiB.
func Mebibytes(n int64) float64 { return Hundredths(float64(n) / (1 << 20)) }
