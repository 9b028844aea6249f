package main

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// receivers stands before all receivers: it makes them fail, and counts what comes.
type receivers struct {
	mu sync.Mutex
	// perSecond counts what came in each second since 1970.
	perSecond map[int64]int
	failed    int
	lost      int
	// down is a path whose receiver is away until then.
	down  string
	until time.Time
}

func newReceivers() *receivers { return &receivers{perSecond: map[int64]int{}} }

// goAway has the receiver at path answer nothing for a while.
func (r *receivers) goAway(path string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.until = path, time.Now().Add(d)
}

// outcome is what is to become of a request.
type outcome int

const (
	handled outcome = iota
	fails
	losesAnswer
)

// next decides on a request: of a hundred, ten are answered 500, and of five the answer is
// lost after the work is done, so that a copy comes.
func (r *receivers) next(path string) outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.perSecond[time.Now().Unix()]++
	switch n := rand.N(100); {
	case n < 10, path == r.down && time.Now().Before(r.until):
		r.failed++
		return fails
	case n < 15:
		r.lost++
		return losesAnswer
	}
	return handled
}

// unreliable makes a receiver fail.
func (r *receivers) unreliable(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		switch r.next(request.URL.Path) {
		case fails:
			w.WriteHeader(http.StatusInternalServerError)
		case losesAnswer:
			h.ServeHTTP(httptest.NewRecorder(), request)
			panic(http.ErrAbortHandler) // the connection is closed without an answer
		case handled:
			h.ServeHTTP(w, request)
		}
	})
}

// peak is the most that came in one second, and total all of it.
func (r *receivers) peak() (peak, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.perSecond {
		peak, total = max(peak, n), total+n
	}
	return peak, total
}

// serve serves h on a port of its own until stop is called.
func serve(h http.Handler) (url string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return "", nil, err //nolint:wrapcheck // it says what is wrong
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}

// quantile is that part of durations, sorted.
func quantile(durations []time.Duration, q float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	return durations[min(len(durations)-1, int(q*float64(len(durations))))]
}
