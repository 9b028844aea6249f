package deliveries

import (
	"context"
	"sync"
	"time"

	"github.com/postdate/postdate"
)

const (
	// maxListing bounds the lists and counts of one tenant that this process reads at
	// once: each may be many queries, and the others share the database.
	maxListing = 4
	// listingTimeout bounds the wait for one of them to end.
	listingTimeout = 5 * time.Second
)

// bound bounds how much is done at once for each tenant.
type bound struct {
	most int
	what string // it bounds

	mu      sync.Mutex
	tenants map[string]*places
}

// places are those of one tenant. They are dropped when nobody has one, or waits.
type places struct {
	taken chan struct{}
	users int
}

func newBound(most int, what string) *bound {
	return &bound{most: most, what: what, tenants: make(map[string]*places)}
}

// enter waits for a place, and returns how to leave it.
func (b *bound) enter(ctx context.Context, tenant string) (leave func(), err error) {
	p := b.use(tenant)
	timeout := time.NewTimer(listingTimeout)
	defer timeout.Stop()
	select {
	case p.taken <- struct{}{}:
		return func() { <-p.taken; b.drop(tenant, p) }, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
		err = postdate.Errorf(postdate.TooManyRequests, "", "%d %s of this tenant are under way already: ask for fewer at once", b.most, b.what)
	}
	b.drop(tenant, p)
	return nil, err
}

func (b *bound) use(tenant string) *places {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.tenants[tenant]
	if p == nil {
		p = &places{taken: make(chan struct{}, b.most)}
		b.tenants[tenant] = p
	}
	p.users++
	return p
}

func (b *bound) drop(tenant string, p *places) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.users--; p.users == 0 {
		delete(b.tenants, tenant)
	}
}
