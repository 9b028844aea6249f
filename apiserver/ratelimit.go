package apiserver

import (
	"fmt"
	"math"
	"strconv"
	"strings"
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

// limits bounds the requests of each key, or of each tenant, by this process.
type limits struct {
	perSecond int // 0: no bound

	mu      sync.Mutex
	buckets map[string]*bucket // by the key's id, or the tenant
	cleared time.Time
}

type bucket struct {
	*rate.Limiter
	used time.Time
	// second is the second in which so many were taken, and before how many in the one
	// before it.
	second        int64
	taken, before int
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
		b = &bucket{Limiter: l.limiter()}
		l.buckets[key] = b
	}
	b.used = now
	if allowed = b.AllowN(now, 1); allowed {
		b.count(now)
	}
	return b.TokensAt(now), allowed
}

func (l *limits) limiter() *rate.Limiter {
	if l.perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(l.perSecond), burstSeconds*l.perSecond)
}

// count counts a request that was allowed.
func (b *bucket) count(now time.Time) {
	b.pass(now)
	b.taken++
}

// pass begins a new second, if there is one.
func (b *bucket) pass(now time.Time) {
	switch second := now.Unix(); second - b.second {
	case 0:
	case 1:
		b.second, b.before, b.taken = second, b.taken, 0
	default:
		b.second, b.before, b.taken = second, 0, 0
	}
}

// lately is how many requests were allowed within the last second: those of the second
// before this one count for the part of it that is not over.
func (l *limits) lately(key string, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		return 0
	}
	b.pass(now)
	left := float64(time.Second-time.Duration(now.Nanosecond())) / float64(time.Second)
	return b.taken + int(left*float64(b.before))
}

// header describes the limit of a key or a tenant, and what is left of it, as
// draft-ietf-httpapi-ratelimit-headers says.
func (l *limits) header(name string, tokens float64) (policy, left string) {
	quota := burstSeconds * l.perSecond
	return fmt.Sprintf(`%q;q=%d;w=%d`, name, quota, burstSeconds), fmt.Sprintf(`%q;r=%d;t=%.0f`, name,
		max(0, int(tokens)), math.Ceil((float64(quota)-tokens)/float64(l.perSecond)))
}

// wait is in how many seconds the next request is allowed.
func (l *limits) wait(tokens float64) string {
	return strconv.Itoa(max(1, int(math.Ceil((1-tokens)/float64(l.perSecond)))))
}

// limit bounds how often a tenant's key is used, and how often all of them are together. It
// says so in headers. What a key's own limit refuses takes nothing from the others. The
// operator's key is not bounded.
func (s *server) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who := callerOf(c.Request().Context())
		if who.key == "" {
			return next(c)
		}
		header := c.Response().Header()
		var policies, lefts []string
		say := func(l *limits, name string, tokens float64) {
			policy, left := l.header(name, tokens)
			policies, lefts = append(policies, policy), append(lefts, left)
			header.Set("RateLimit-Policy", strings.Join(policies, ", "))
			header.Set("RateLimit", strings.Join(lefts, ", "))
		}
		if s.limits.perSecond > 0 {
			tokens, allowed := s.limits.take(who.key, s.Now())
			say(s.limits, "key", tokens)
			if !allowed {
				header.Set(echo.HeaderRetryAfter, s.limits.wait(tokens))
				return postdate.Errorf(postdate.TooManyRequests, "", "more than %d requests a second with this key", s.limits.perSecond)
			}
		}
		tokens, allowed := s.tenantLimits.take(who.tenant, s.Now())
		if s.tenantLimits.perSecond == 0 {
			return next(c)
		}
		say(s.tenantLimits, "tenant", tokens)
		if allowed {
			return next(c)
		}
		header.Set(echo.HeaderRetryAfter, s.tenantLimits.wait(tokens))
		return s.refuse(c.Request().Context(), who.tenant, postdate.Errorf(postdate.QuotaRate, "",
			"more than %d requests a second with all keys of this tenant together", s.tenantLimits.perSecond))
	}
}
