package tenants

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/singleflight"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

const (
	// maxAge is for how long what was read is answered again.
	maxAge = time.Second
	// dropAfter is after how long a tenant that nobody asked for is dropped. One
	// that nothing is configured for is dropped sooner: its name may be a guess.
	dropAfter      = time.Minute
	dropEmptyAfter = 2 * time.Second
	// dropInterval is how often they are looked for.
	dropInterval = 5 * time.Second
	// readTimeout bounds a read, whoever waits for it.
	readTimeout = 10 * time.Second
	// changesInFlight is how many changes of one tenant this process asks for at
	// once: of more than ten the engine refuses some.
	changesInFlight = 8
)

// entry is what is known of one tenant.
type entry struct {
	name    string
	reads   singleflight.Group
	changes chan struct{} // holds those in flight

	mu      sync.Mutex
	tenant  *postdate.Tenant // as it was read last, if it was
	kept    int64            // the version that the engine keeps of it
	began   time.Time        // when that read began
	changed uint64           // how many changes this process has made: it is read anew after each
	asked   time.Time
}

// Tenant is all that is configured for a tenant, as it was at most a second
// ago; what this process changed is seen at once. It must not be changed. Of one
// that nothing was ever configured for it is empty, but for Config.DefaultSecret.
func (s *Store) Tenant(ctx context.Context, name string) (*postdate.Tenant, error) {
	e := s.entry(name)
	known, flight := e.cached(s.config.Now())
	if known != nil {
		return known, nil
	}
	// Whoever asks after a change does not join a read that began before it.
	read := e.reads.DoChan(flight, func() (any, error) {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer stop()
		return s.read(ctx, e, flight)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-read:
		tenant, _ := result.Val.(*postdate.Tenant) // nil with an error
		return tenant, result.Err
	}
}

// entry is the tenant's, made where there is none.
func (s *Store) entry(name string) *entry {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.cleared) > dropInterval {
		s.cleared = now
		for name, e := range s.entries {
			if e.idle(now) {
				delete(s.entries, name)
			}
		}
	}
	e, ok := s.entries[name]
	if !ok {
		e = &entry{name: name, asked: now, changes: make(chan struct{}, changesInFlight)}
		s.entries[name] = e
	}
	return e
}

func (e *entry) idle(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept == 0 {
		return now.Sub(e.asked) > dropEmptyAfter
	}
	return now.Sub(e.asked) > dropAfter
}

// cached answers the tenant, if it was read within the last second and not changed
// since, or else the name of the read that would do.
func (e *entry) cached(now time.Time) (known *postdate.Tenant, flight string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = now
	if e.tenant != nil && now.Sub(e.began) < maxAge {
		return e.tenant, ""
	}
	return nil, e.flight()
}

func (e *entry) flight() string { return strconv.FormatUint(e.changed, 10) }

// invalidate has e read anew: what was read before is not what is configured now.
func (e *entry) invalidate() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed++
	e.began = time.Time{}
}

// Fresh is all that is configured for a tenant now, whatever is kept here.
func (s *Store) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	s.entry(name).invalidate()
	return s.Tenant(ctx, name)
}

// Knows tells whether the tenant was asked for lately, and so costs the engine
// one question a second at most.
func (s *Store) Knows(name string) bool { return s.peek(name) != nil }

// peek is the tenant as it was read last, however long ago: nil where it was not.
func (s *Store) peek(name string) *postdate.Tenant {
	s.mu.Lock()
	e, ok := s.entries[name]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tenant
}

// read asks the engine, and keeps the answer unless a change has overtaken it.
func (s *Store) read(ctx context.Context, e *entry, flight string) (*postdate.Tenant, error) {
	began := s.config.Now()
	e.mu.Lock()
	tenant, kept := e.tenant, e.kept
	e.mu.Unlock()

	answer, err := s.query(ctx, e.name, kept)
	if err != nil {
		return nil, fmt.Errorf("read tenant %s: %w", e.name, err)
	}
	if tenant == nil || answer.Tenant != nil {
		tenant = s.withDefaultSecret(e.name, answer.Tenant)
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight() == flight {
		e.tenant, e.kept, e.began = tenant, answer.Version, began
	}
	return tenant, nil
}

// query asks for a tenant, unless it is still of the version that is known. One
// that has no execution is empty.
func (s *Store) query(ctx context.Context, name string, known int64) (protocol.TenantRead, error) {
	var answer protocol.TenantRead
	err := retry.With(ctx, func(ctx context.Context) error {
		value, err := s.config.Temporal.QueryWorkflow(ctx, protocol.TenantID(name), "", protocol.QueryTenant, known)
		if err == nil {
			err = value.Get(&answer)
		}
		if _, none := errors.AsType[*serviceerror.NotFound](err); none {
			answer = protocol.TenantRead{Tenant: &postdate.Tenant{}}
			return nil
		}
		return err
	})
	return answer, err
}

// withDefaultSecret is a tenant with the secret that signs as long as it has none.
func (s *Store) withDefaultSecret(name string, kept *postdate.Tenant) *postdate.Tenant {
	var tenant postdate.Tenant
	if kept != nil {
		tenant = *kept
	}
	if before := s.defaultSecret(name); len(tenant.Secrets) == 0 && before != "" {
		tenant.Secrets = postdate.ExpiringSecrets{{Secret: before}}
	}
	return &tenant
}
