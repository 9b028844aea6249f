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
	// maxAge is how long a tenant is returned after it was read.
	maxAge = time.Second
	// dropAfter is how long a tenant that nobody reads is kept. One that nothing is
	// configured for is dropped sooner: its name may be a guess.
	dropAfter      = time.Minute
	dropEmptyAfter = 2 * time.Second
	// dropInterval is how often entries to drop are looked for.
	dropInterval = 5 * time.Second
	// readTimeout bounds a read. Several callers may wait for it.
	readTimeout = 10 * time.Second
	// changesInFlight bounds the changes of one tenant that this process sends at once:
	// of more than ten Temporal refuses some.
	changesInFlight = 8
)

// entry is what is known of one tenant.
type entry struct {
	name    string
	reads   singleflight.Group
	changes chan struct{} // has an element for each one in flight

	mu      sync.Mutex
	tenant  *postdate.Tenant // as it was last read: nil before that
	version int64            // of what was last read
	mark    mark             // where its execution stood before that read
	began   time.Time        // when that read began
	changed uint64           // how many changes this process has made: each invalidates what was read
	used    time.Time
}

// mark is a moment in the life of an execution: what it keeps changes only together with
// its history. It is zero where there is none.
type mark struct {
	runID  string
	events int64
}

// Tenant returns all that is configured for a tenant, as it was at most a second ago. A
// change by this process shows at once. The result must not be modified. For a tenant that
// nothing was ever configured for it is empty, but for Config.DefaultSecret.
func (s *Store) Tenant(ctx context.Context, name string) (*postdate.Tenant, error) {
	e := s.entry(name)
	known, flight := e.cached(s.config.Now())
	if known != nil {
		return known, nil
	}
	// A read that began before a change is not shared with callers after it.
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

// entry returns the tenant's entry, and creates it where there is none.
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
		e = &entry{name: name, used: now, changes: make(chan struct{}, changesInFlight)}
		s.entries[name] = e
	}
	return e
}

func (e *entry) idle(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.version == 0 {
		return now.Sub(e.used) > dropEmptyAfter
	}
	return now.Sub(e.used) > dropAfter
}

// cached returns the tenant if it was read within maxAge and not changed since. Otherwise
// it returns the key of the read to share.
func (e *entry) cached(now time.Time) (known *postdate.Tenant, flight string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used = now
	if e.tenant != nil && now.Sub(e.began) < maxAge {
		return e.tenant, ""
	}
	return nil, e.flight()
}

func (e *entry) flight() string { return strconv.FormatUint(e.changed, 10) }

// invalidate drops what was read: the next caller reads the tenant again.
func (e *entry) invalidate() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed++
	e.began = time.Time{}
}

// Fresh returns all that is configured for a tenant now, whatever was read before.
func (s *Store) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	s.entry(name).invalidate()
	return s.Tenant(ctx, name)
}

// Knows reports whether the tenant was used lately, so that reading it costs Temporal
// one look a second at most.
func (s *Store) Knows(name string) bool { return s.peek(name) != nil }

// peek returns the tenant as it was last read, however long ago: nil where it was not.
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

// read reads a tenant, and keeps it unless a change has overtaken the read. It queries the
// tenant's execution only if that has changed since the last read: a query needs a worker,
// and Temporal Cloud bills it, unlike the look at how long the history is.
func (s *Store) read(ctx context.Context, e *entry, flight string) (*postdate.Tenant, error) {
	began := s.config.Now()
	e.mu.Lock()
	tenant, version, known := e.tenant, e.version, e.mark
	e.mu.Unlock()

	found, err := s.mark(ctx, e.name)
	if err == nil && (tenant == nil || found != known || found == mark{}) {
		tenant, version, err = s.query(ctx, e.name, found, tenant, version)
	}
	if err != nil {
		return nil, fmt.Errorf("read tenant %s: %w", e.name, err)
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight() == flight {
		e.tenant, e.version, e.mark, e.began = tenant, version, found, began
	}
	return tenant, nil
}

// mark returns where the execution of a tenant stands.
func (s *Store) mark(ctx context.Context, name string) (found mark, err error) {
	err = retry.With(ctx, func(ctx context.Context) error {
		described, err := s.config.Temporal.DescribeWorkflowExecution(ctx, protocol.TenantID(name), "")
		if _, none := errors.AsType[*serviceerror.NotFound](err); none {
			return nil
		}
		info := described.GetWorkflowExecutionInfo()
		found = mark{info.GetExecution().GetRunId(), info.GetHistoryLength()}
		return err
	})
	return found, err
}

// query queries a tenant, if it has an execution. Where its version is the known one it
// returns the known tenant.
func (s *Store) query(ctx context.Context, name string, at mark, tenant *postdate.Tenant, version int64) (*postdate.Tenant, int64, error) {
	read := protocol.TenantRead{Tenant: &postdate.Tenant{}}
	if at == (mark{}) {
		return s.withDefaultSecret(name, read.Tenant), 0, nil
	}
	err := retry.With(ctx, func(ctx context.Context) error {
		value, err := s.config.Temporal.QueryWorkflow(ctx, protocol.TenantID(name), "", protocol.QueryTenant, version)
		if err == nil {
			read = protocol.TenantRead{}
			err = value.Get(&read)
		}
		if _, none := errors.AsType[*serviceerror.NotFound](err); none {
			read = protocol.TenantRead{Tenant: &postdate.Tenant{}}
			return nil
		}
		return err
	})
	if err == nil && (tenant == nil || read.Tenant != nil) {
		tenant = s.withDefaultSecret(name, read.Tenant)
	}
	return tenant, read.Version, err
}

// withDefaultSecret returns a tenant with the default secret if it has none of its own.
func (s *Store) withDefaultSecret(name string, configured *postdate.Tenant) *postdate.Tenant {
	var tenant postdate.Tenant
	if configured != nil {
		tenant = *configured
	}
	if secret := s.defaultSecret(name); len(tenant.Secrets) == 0 && secret != "" {
		tenant.Secrets = postdate.ExpiringSecrets{{Secret: secret}}
	}
	return &tenant
}
