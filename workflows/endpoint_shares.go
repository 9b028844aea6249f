package workflows

import (
	"cmp"
	"slices"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// demandOf is a worker's to a share.
type demandOf struct {
	worker       string
	demand       int // in flight, and asking for a turn
	hasShare     bool
	starvedSince time.Time // since when it has got nothing
}

// rank is lower for whoever comes first, where there is not enough for all: who
// has waited for a lease time, then who has a share already, so that shares do not
// wander for nothing.
func (c demandOf) rank(now time.Time) int {
	switch {
	case !c.starvedSince.IsZero() && now.Sub(c.starvedSince) >= protocol.LeaseTime:
		return 0
	case c.hasShare:
		return 1
	}
	return 2
}

// fairShare is the worker's share of pace: max-min fair by demand, and of what
// nobody asks for as much as every other. It is nothing, or at least one in flight;
// and of a rate so many have a share as its burst allows, each with one token of it
// at least: else more than the burst could begin at one moment.
func fairShare(pace postdate.Pace, claims []demandOf, worker string, now time.Time) postdate.Pace {
	slices.SortStableFunc(claims, func(a, b demandOf) int {
		return cmp.Or(a.rank(now)-b.rank(now), a.starvedSince.Compare(b.starvedSince))
	})
	many := min(len(claims), pace.InFlight)
	if pace.PerSecond > 0 {
		many = min(many, pace.Burst)
	}
	claims = claims[:many]
	at := slices.IndexFunc(claims, func(c demandOf) bool { return c.worker == worker })
	if at < 0 {
		return postdate.Pace{}
	}
	demands, beyond := make([]float64, many), make([]float64, many)
	for i, c := range claims {
		demands[i], beyond[i] = float64(c.demand), float64(max(0, c.demand-1))
	}
	share := postdate.Pace{InFlight: 1 + round(waterfill(float64(pace.InFlight-many), beyond), pace.InFlight-many)[at]}
	if pace.PerSecond > 0 {
		share.PerSecond = waterfill(pace.PerSecond, demands)[at]
		share.Burst = 1 + (pace.Burst-many)/many
	}
	return share
}

// waterfill fills demands up evenly until there is nothing left, and shares out what
// nobody asks for.
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

// round rounds shares down, and gives what remains of total to the first of them.
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
