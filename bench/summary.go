package main

import (
	"math"
	"slices"
	"time"
)

// quantiles are of a set of durations, in milliseconds.
type quantiles struct {
	First float64 `json:"first,omitempty"` // the least, where they are latenesses
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// quantilesOf is nil where there is nothing to sum up.
func quantilesOf(times []time.Duration) *quantiles {
	if len(times) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(times))
	return &quantiles{
		P50: millis(percentile(sorted, 50)),
		P99: millis(percentile(sorted, 99)),
		Max: millis(sorted[len(sorted)-1]),
	}
}

// latenessOf is how long after their due times items came.
func latenessOf(items []*item) *quantiles {
	late := make([]time.Duration, len(items))
	for i, m := range items {
		late[i] = m.received.Sub(m.due)
	}
	q := quantilesOf(late)
	if q != nil {
		q.First = millis(slices.Min(late))
	}
	return q
}

// percentile is the smallest of sorted that at least p of 100 do not exceed
// (nearest rank): always a time that was really measured.
func percentile(sorted []time.Duration, p int) time.Duration {
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// millis is d in milliseconds, to the hundredth.
func millis(d time.Duration) float64 { return hundredths(float64(d) / float64(time.Millisecond)) }

func hundredths(x float64) float64 { return math.Round(x*100) / 100 }

// perSecond is the rate of n in so long.
func perSecond(n int, span time.Duration) float64 {
	if span <= 0 {
		return 0
	}
	return hundredths(float64(n) / span.Seconds())
}

// each is how many milliseconds of total fall to each of n.
func each(total time.Duration, n int) float64 { return millis(total / time.Duration(max(n, 1))) }

// mebibytes is n bytes in MiB.
func mebibytes(n int64) float64 { return hundredths(float64(n) / (1 << 20)) }
