package apiserver

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// wrongKeysPerSecond is how many wrong keys one source may show, and wrongKeysBurst
	// how many at once.
	wrongKeysPerSecond = 10
	wrongKeysBurst     = 50
	// goodKeyFor is how long a key that was right is let through without being counted,
	// whatever else comes from its source.
	goodKeyFor = time.Minute
	// maxSources and maxGoodKeys bound what is remembered.
	maxSources  = 10_000
	maxGoodKeys = 10_000
	// refusalTime is how long the answer to a wrong key takes, whatever is wrong with it:
	// so that nothing is learned from the time.
	refusalTime = 50 * time.Millisecond
)

// guesses counts wrong keys by the address that they come from, so that who guesses costs
// nobody else anything.
type guesses struct {
	mu      sync.Mutex
	sources map[string]*rate.Limiter
	good    map[[32]byte]time.Time // when a key was right last, by its hash
}

func newGuesses() *guesses {
	return &guesses{sources: make(map[string]*rate.Limiter), good: make(map[[32]byte]time.Time)}
}

// delayRefusal waits until the answer to a request that began then has taken refusalTime.
func delayRefusal(ctx context.Context, began time.Time) {
	select {
	case <-time.After(refusalTime - time.Since(began)):
	case <-ctx.Done():
	}
}

// allow reports whether a key from a source is to be looked at.
func (g *guesses) allow(source string, key [32]byte, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at, ok := g.good[key]; ok && now.Sub(at) < goodKeyFor {
		return true
	}
	limiter, ok := g.sources[source]
	return !ok || limiter.TokensAt(now) >= 1
}

// wrong counts a wrong key, and right forgets what was counted for it.
func (g *guesses) wrong(source string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	limiter, ok := g.sources[source]
	if !ok {
		if len(g.sources) >= maxSources {
			g.sources = make(map[string]*rate.Limiter)
		}
		limiter = rate.NewLimiter(wrongKeysPerSecond, wrongKeysBurst)
		g.sources[source] = limiter
	}
	limiter.AllowN(now, 1)
}

func (g *guesses) right(key [32]byte, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.good) >= maxGoodKeys {
		g.good = make(map[[32]byte]time.Time)
	}
	g.good[key] = now
}

// sourceOf is the address that a request comes from, without its port.
func sourceOf(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		return remoteAddr
	}
	return host
}
