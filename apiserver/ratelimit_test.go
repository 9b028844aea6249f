package apiserver_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

// clock is one that a test sets.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time            { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(by time.Duration)  { c.nanos.Add(int64(by)) }
func (c *clock) into(to *apiserver.Config) { to.Now = c.now }

func limited(to int) func(*apiserver.Config) {
	return func(c *apiserver.Config) { c.RateLimit = to }
}

func TestRateLimit_OfEachKey(t *testing.T) {
	t.Parallel()
	clock := newClock()
	a := newAPI(t, clock.into, limited(5))
	key, other := a.key(postdate.Read).Key, a.key(postdate.Read).Key
	ask := func(key string) answer { return a.with(key, http.MethodGet, "/v1/endpoints", "") }

	w := ask(key).is(http.StatusOK)
	require.Equal(t, `"key";q=10;w=2`, w.Header().Get("RateLimit-Policy"))
	require.Equal(t, `"key";r=9;t=1`, w.Header().Get("RateLimit"))
	for range 9 {
		w = ask(key).is(http.StatusOK)
	}
	require.Equal(t, `"key";r=0;t=2`, w.Header().Get("RateLimit"))

	w = ask(key)
	w.problem(http.StatusTooManyRequests, postdate.TooManyRequests)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, `"key";r=0;t=2`, w.Header().Get("RateLimit"))
	ask(other).is(http.StatusOK)

	clock.advance(200 * time.Millisecond)
	ask(key).is(http.StatusOK)
	ask(key).is(http.StatusTooManyRequests)
	clock.advance(time.Hour)
	require.Equal(t, `"key";r=9;t=1`, ask(key).is(http.StatusOK).Header().Get("RateLimit"))
}

// A key with too little scope cannot be tried out faster than one with enough.
func TestRateLimit_CountsWhatIsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t, newClock().into, limited(1))
	key := a.key(postdate.Read).Key
	for range 2 {
		a.with(key, http.MethodGet, "/v1/keys", "").is(http.StatusForbidden)
	}
	a.with(key, http.MethodGet, "/v1/keys", "").is(http.StatusTooManyRequests)
}

func TestRateLimit_IsNotForTheOperatorNorForProbes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, newClock().into, limited(1))
	for range 5 {
		w := a.do(http.MethodGet, "/v1/endpoints", "").is(http.StatusOK)
		require.Empty(t, w.Header().Get("RateLimit"))
		a.do(http.MethodGet, "/healthz", "", "Authorization", "").is(http.StatusOK)
	}
}

func TestRateLimit_NoneWhereItIsZero(t *testing.T) {
	t.Parallel()
	a := newAPI(t, newClock().into, limited(0))
	key := a.key(postdate.Read).Key
	for range 5 {
		require.Empty(t, a.with(key, http.MethodGet, "/v1/endpoints", "").is(http.StatusOK).Header().Get("RateLimit-Policy"))
	}
}
