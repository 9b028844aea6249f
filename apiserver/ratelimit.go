package apiserver

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/postdate/postdate"
)

const (
	// burstSeconds is for how many seconds' worth of requests a key may save up.
	burstSeconds = 2
	// bucketIdle is after how long without a request a key's bucket is dropped: it
	// is full again by then, and a new one is no other.
	bucketIdle = time.Minute
)

// limits bounds the requests of each key, by this process.
type limits struct {
	perSecond int

	mu      sync.Mutex
	buckets map[string]*bucket // by the key's id
	cleared time.Time
}

type bucket struct {
	*rate.Limiter
	used time.Time
}

func newLimits(perSecond int) *limits {
	return &limits{perSecond: perSecond, buckets: make(map[string]*bucket)}
}

// take takes one request of a key, if it is allowed, and answers how many more are.
func (l *limits) take(key string, now time.Time) (tokens float64, allowed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.cleared) > bucketIdle {
		l.cleared = now
		for id, b := range l.buckets {
			if now.Sub(b.used) > bucketIdle {
				delete(l.buckets, id)
			}
		}
	}
	b, ok := l.buckets[key]
	if !ok {
		b = &bucket{Limiter: rate.NewLimiter(rate.Limit(l.perSecond), burstSeconds*l.perSecond)}
		l.buckets[key] = b
	}
	b.used = now
	allowed = b.AllowN(now, 1)
	return b.TokensAt(now), allowed
}

// limit bounds how often a tenant's key is used, and announces the limits as
// draft-ietf-httpapi-ratelimit-headers says. The operator's key is not bounded.
func (s *server) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who := callerOf(c.Request().Context())
		if who.key == "" || s.limits.perSecond == 0 {
			return next(c)
		}
		tokens, allowed := s.limits.take(who.key, s.Now())
		perSecond, quota := float64(s.limits.perSecond), burstSeconds*s.limits.perSecond
		header := c.Response().Header()
		header.Set("RateLimit-Policy", fmt.Sprintf(`"key";q=%d;w=%d`, quota, burstSeconds))
		header.Set("RateLimit", fmt.Sprintf(`"key";r=%d;t=%.0f`,
			max(0, int(tokens)), math.Ceil((float64(quota)-tokens)/perSecond)))
		if allowed {
			return next(c)
		}
		wait := max(1, int(math.Ceil((1-tokens)/perSecond)))
		header.Set(echo.HeaderRetryAfter, strconv.Itoa(wait))
		return postdate.Errorf(postdate.TooManyRequests, "", "more than %d requests a second with this key", s.limits.perSecond)
	}
}
