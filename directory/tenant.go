package directory

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
	"github.com/postdate/postdate/internal/persist"
	"github.com/postdate/postdate/workflows"
)

const (
	// fresh is for how long what was read is answered again.
	fresh = time.Second
	// forgotten is after how long a tenant that nobody asked for is dropped. One
	// that nothing is configured for is dropped sooner: its name may be a guess.
	forgotten      = time.Minute
	forgottenEmpty = 2 * time.Second
	// clearing is how often they are looked for.
	clearing = 5 * time.Second
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
func (d *Directory) Tenant(ctx context.Context, name string) (*postdate.Tenant, error) {
	e := d.entry(name)
	known, flight := e.look(d.config.Now())
	if known != nil {
		return known, nil
	}
	// Whoever asks after a change does not join a read that began before it.
	read := e.reads.DoChan(flight, func() (any, error) {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer stop()
		return d.read(ctx, e, flight)
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
func (d *Directory) entry(name string) *entry {
	now := d.config.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.cleared) > clearing {
		d.cleared = now
		for name, e := range d.entries {
			if e.idle(now) {
				delete(d.entries, name)
			}
		}
	}
	e, ok := d.entries[name]
	if !ok {
		e = &entry{name: name, asked: now, changes: make(chan struct{}, changesInFlight)}
		d.entries[name] = e
	}
	return e
}

func (e *entry) idle(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept == 0 {
		return now.Sub(e.asked) > forgottenEmpty
	}
	return now.Sub(e.asked) > forgotten
}

// look answers the tenant, if it was read within the last second and not changed
// since, or else the name of the read that would do.
func (e *entry) look(now time.Time) (known *postdate.Tenant, flight string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = now
	if e.tenant != nil && now.Sub(e.began) < fresh {
		return e.tenant, ""
	}
	return nil, e.flight()
}

func (e *entry) flight() string { return strconv.FormatUint(e.changed, 10) }

// stale has e read anew: what was read before is not what is configured now.
func (e *entry) stale() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed++
	e.began = time.Time{}
}

// Fresh is all that is configured for a tenant now, whatever is kept here.
func (d *Directory) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	d.entry(name).stale()
	return d.Tenant(ctx, name)
}

// Knows tells whether the tenant was asked for lately, and so costs the engine
// one question a second at most.
func (d *Directory) Knows(name string) bool { return d.peek(name) != nil }

// peek is the tenant as it was read last, however long ago: nil where it was not.
func (d *Directory) peek(name string) *postdate.Tenant {
	d.mu.Lock()
	e, ok := d.entries[name]
	d.mu.Unlock()
	if !ok {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tenant
}

// read asks the engine, and keeps the answer unless a change has overtaken it.
func (d *Directory) read(ctx context.Context, e *entry, flight string) (*postdate.Tenant, error) {
	began := d.config.Now()
	e.mu.Lock()
	tenant, kept := e.tenant, e.kept
	e.mu.Unlock()

	answer, err := d.query(ctx, e.name, kept)
	if err != nil {
		return nil, fmt.Errorf("read tenant %s: %w", e.name, err)
	}
	if tenant == nil || answer.Tenant != nil {
		tenant = d.complete(e.name, answer.Tenant)
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
func (d *Directory) query(ctx context.Context, name string, known int64) (workflows.TenantRead, error) {
	var answer workflows.TenantRead
	err := persist.With(ctx, func(ctx context.Context) error {
		value, err := d.config.Temporal.QueryWorkflow(ctx, workflows.TenantID(name), "", workflows.QueryTenant, known)
		if err == nil {
			err = value.Get(&answer)
		}
		if _, none := errors.AsType[*serviceerror.NotFound](err); none {
			answer = workflows.TenantRead{Tenant: &postdate.Tenant{}}
			return nil
		}
		return err
	})
	return answer, err
}

// complete is a tenant with the secret that signs as long as it has none.
func (d *Directory) complete(name string, kept *postdate.Tenant) *postdate.Tenant {
	var tenant postdate.Tenant
	if kept != nil {
		tenant = *kept
	}
	if before := d.before(name); len(tenant.Secrets) == 0 && before != "" {
		tenant.Secrets = postdate.DatedSecrets{{Secret: before}}
	}
	return &tenant
}
