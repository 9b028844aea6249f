package apiserver

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxRejections is how many rejected requests are remembered of a source.
	maxRejections = 50
	// rejectionsPerSecond is how many are noted, and rejectionsBurst how many at once: the
	// others are counted alone.
	rejectionsPerSecond, rejectionsBurst = 1, 10
	// rejectionsLogged is how often the log says that a source rejects requests.
	rejectionsLogged = time.Minute
	// maxRejecting bounds the sources of which anything is remembered.
	maxRejecting = 1000
)

// rejections remembers what sources did not take: whoever has no secret can make it grow,
// so it is bounded, in memory, and lost with the process.
type rejections struct {
	since time.Time
	log   *slog.Logger

	mu      sync.Mutex
	sources map[sourceKey]*rejected
}

type sourceKey struct{ tenant, source string }

// rejected is what one source did not take.
type rejected struct {
	noting   *rate.Limiter
	last     []Rejected // oldest first
	counts   map[string]int
	unlogged int
	loggedAt time.Time
}

func newRejections(log *slog.Logger, now time.Time) *rejections {
	return &rejections{since: now.UTC(), log: log, sources: make(map[sourceKey]*rejected)}
}

// add notes a request that a source did not take.
func (r *rejections) add(ctx context.Context, tenant, source string, request Rejected) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := sourceKey{tenant, source}
	of, ok := r.sources[key]
	if !ok {
		if len(r.sources) >= maxRejecting {
			for other := range r.sources {
				delete(r.sources, other)
				break
			}
		}
		of = &rejected{noting: rate.NewLimiter(rejectionsPerSecond, rejectionsBurst), counts: make(map[string]int)}
		r.sources[key] = of
	}
	of.counts[request.Reason]++
	of.unlogged++
	if of.noting.AllowN(request.At, 1) {
		if len(of.last) == maxRejections {
			of.last = slices.Delete(of.last, 0, 1)
		}
		of.last = append(of.last, request)
	}
	if request.At.Sub(of.loggedAt) >= rejectionsLogged {
		r.log.LogAttrs(ctx, slog.LevelWarn, "a source rejects requests", slog.String("tenant", tenant), slog.String("source", source),
			slog.Int("requests", of.unlogged), slog.String("reason", request.Reason))
		of.loggedAt, of.unlogged = request.At, 0
	}
}

// of is what a source did not take lately, newest first, and how many there were.
func (r *rejections) of(tenant, source string) ([]Rejected, map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of, ok := r.sources[sourceKey{tenant, source}]
	if !ok {
		return []Rejected{}, map[string]int{}
	}
	last := slices.Clone(of.last)
	slices.Reverse(last)
	return last, maps.Clone(of.counts)
}

func (r *rejections) forget(tenant, source string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sources, sourceKey{tenant, source})
}
