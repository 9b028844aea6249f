package workflows

import (
	"cmp"
	"slices"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// demand is what a worker wants of an endpoint's pace.
type demand struct {
	worker       string
	permits      int // in flight, and waited for
	hasShare     bool
	starvedSince time.Time // since when it has had no share
}

// rank orders the demands where there is not enough for all: first those that have starved
// for a lease time, then those that have a share, so that shares do not move needlessly.
func (d demand) rank(now time.Time) int {
	switch {
	case !d.starvedSince.IsZero() && now.Sub(d.starvedSince) >= protocol.LeaseTime:
		return 0
	case d.hasShare:
		return 1
	}
	return 2
}

// fairShare is the worker's share of the pace: max-min fair by demand, with an even part of
// what is not demanded. It is nothing, or at least one in flight. No more workers have a
// share of a rate than its burst allows, each with at least one token: otherwise more than
// the burst could begin at one moment.
func fairShare(pace postdate.Pace, demands []demand, worker string, now time.Time) postdate.Pace {
	slices.SortStableFunc(demands, func(a, b demand) int {
		return cmp.Or(a.rank(now)-b.rank(now), a.starvedSince.Compare(b.starvedSince))
	})
	many := min(len(demands), pace.InFlight)
	if pace.PerSecond > 0 {
		many = min(many, pace.Burst)
	}
	demands = demands[:many]
	at := slices.IndexFunc(demands, func(d demand) bool { return d.worker == worker })
	if at < 0 {
		return postdate.Pace{}
	}
	permits, beyondFirst := make([]float64, many), make([]float64, many)
	for i, d := range demands {
		permits[i], beyondFirst[i] = float64(d.permits), float64(max(0, d.permits-1))
	}
	share := postdate.Pace{InFlight: 1 + round(waterfill(float64(pace.InFlight-many), beyondFirst), pace.InFlight-many)[at]}
	if pace.PerSecond > 0 {
		share.PerSecond = waterfill(pace.PerSecond, permits)[at]
		share.Burst = 1 + (pace.Burst-many)/many
	}
	return share
}

// waterfill fills the demands up evenly until total is used, and divides the rest evenly.
func waterfill(total float64, demands []float64) []float64 {
	shares, open := make([]float64, len(demands)), len(demands)
	order := make([]int, len(demands))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(demands[a], demands[b]) })
	left := total
	for _, i := range order { // the smallest demand first: what it leaves is for the others
		shares[i] = min(demands[i], left/float64(open))
		left -= shares[i]
		open--
	}
	for i := range shares {
		shares[i] += left / float64(len(shares))
	}
	return shares
}

// round rounds shares down, and adds the rest of total to the first of them.
func round(shares []float64, total int) []int {
	rounded, left := make([]int, len(shares)), total
	for i, s := range shares {
		rounded[i] = int(s + 1e-9)
		left -= rounded[i]
	}
	for i := range rounded {
		if left <= 0 {
			break
		}
		rounded[i]++
		left--
	}
	return rounded
}
