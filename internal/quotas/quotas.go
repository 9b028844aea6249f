// Package quotas bounds what a tenant keeps in Temporal: its pending messages and their
// bytes.
//
// Temporal's count of the tenant's open executions is the truth, so that nothing has to be
// counted down when a message ends, no crash leaves a wrong figure behind, and no second
// database is needed. But it is a little behind, and is not asked for each message. So what a
// tenant uses is the last count, and what this process has accepted since.
package quotas

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
)

// Amount is an amount of messages, and of bytes.
type Amount struct{ Messages, Bytes int64 }

func (a Amount) plus(b Amount) Amount { return Amount{a.Messages + b.Messages, a.Bytes + b.Bytes} }

func (a Amount) minus(b Amount) Amount {
	return Amount{max(0, a.Messages-b.Messages), max(0, a.Bytes-b.Bytes)}
}

// Config is what a [Store] needs.
type Config struct {
	Executions Executions
	// Limits hold for each tenant: 0 is none.
	Limits Amount
	// Meter measures what tenants use. Nothing is measured where it is nil.
	Meter metric.Meter
	Now   func() time.Time
}

// Store knows what tenants use. It is safe for concurrent use. Without limits it asks
// Temporal only for [Store.Usage].
type Store struct {
	config  Config
	counter counter
	refused metric.Int64Counter

	mu      sync.Mutex
	tenants map[string]*usage
	cleared time.Time // when unused tenants were last dropped
}

// idle is after how long without a request a tenant is dropped: the next one counts again.
const idle = 10 * time.Minute

// New returns a store.
func New(c Config) (*Store, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Store{config: c, counter: counter{c.Executions}, tenants: make(map[string]*usage)}
	if err := s.measure(); err != nil {
		return nil, fmt.Errorf("metrics of quotas: %w", err)
	}
	return s, nil
}

// Limits are what each tenant may use.
func (s *Store) Limits() Amount { return s.config.Limits }

// Admit adds what a tenant wants to keep to what it uses, or refuses it. Where it is not kept
// after all, the caller takes it back by release.
//
// It refuses by a count that is at most a second old, or as old as Temporal takes for ten. A
// tenant whose use cannot be counted is not refused.
func (s *Store) Admit(ctx context.Context, tenant string, messages, bytes int64) (release func(), err error) {
	if s.config.Limits == (Amount{}) {
		return func() {}, nil
	}
	u, wanted := s.usage(tenant), Amount{messages, bytes}
	switch u.state(s.config.Now()) {
	case unknown:
		_ = s.count(ctx, tenant, u).wait(ctx) // it is not refused for that
	case old:
		s.count(ctx, tenant, u)
	case known:
	}
	if s.refusal(u.with(wanted)) != nil && u.mayRecount(s.config.Now()) {
		_ = s.count(ctx, tenant, u).wait(ctx)
	}
	err = u.add(wanted, s.config.Now(), s.refusal)
	if err != nil {
		s.countRefusal(ctx, tenant, err)
		return nil, err
	}
	return func() { u.remove(wanted, s.config.Now()) }, nil
}

// Usage is what a tenant uses.
func (s *Store) Usage(ctx context.Context, tenant string) (Amount, error) {
	u := s.usage(tenant)
	if u.mayRecount(s.config.Now()) {
		if err := s.count(ctx, tenant, u).wait(ctx); err != nil {
			return Amount{}, err
		}
	}
	return u.with(Amount{}), nil
}

// refusal is why a tenant may not use so much: nil where it may.
func (s *Store) refusal(used Amount) error {
	limits := s.config.Limits
	switch {
	case limits.Messages > 0 && used.Messages > limits.Messages:
		return postdate.Errorf(postdate.QuotaPending, "",
			"this tenant may have %d messages pending, and has almost as many or more: deliver, cancel or wait for some", limits.Messages)
	case limits.Bytes > 0 && used.Bytes > limits.Bytes:
		return postdate.Errorf(postdate.QuotaBytes, "",
			"this tenant may keep %d bytes of pending messages, and keeps almost as many or more: deliver, cancel or wait for some", limits.Bytes)
	default:
		return nil
	}
}

// usage is that of a tenant, which it makes where there is none.
func (s *Store) usage(tenant string) *usage {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.cleared) > idle {
		s.cleared = now
		for name, u := range s.tenants {
			if u.isIdle(now) {
				delete(s.tenants, name)
			}
		}
	}
	u := s.tenants[tenant]
	if u == nil {
		u = &usage{}
		s.tenants[tenant] = u
	}
	u.touch(now)
	return u
}

// count begins to count what a tenant uses. Callers at the same time share one count.
func (s *Store) count(ctx context.Context, tenant string, u *usage) *flight {
	return u.begin(func() error {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
		defer stop()
		began := s.config.Now()
		counted, err := s.counter.count(ctx, tenant)
		u.correct(counted, began, s.config.Now().Sub(began), err)
		return err
	})
}

// Executions counts and reads Temporal's executions.
type Executions interface {
	open
	reader
}

var _ Executions = (*executions.Client)(nil)
