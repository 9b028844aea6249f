package tenants

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

func TestTenant_IsEmptyWhereNothingIsConfigured(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	require.Equal(t, &postdate.Tenant{}, d.read())

	_, err := d.PatchEndpoint(t.Context(), d.tenant, "ep_1", postdate.EndpointPatch{})
	require.Equal(t, postdate.NotFound, postdate.CodeOf(err))
	_, err = temporal.DescribeWorkflowExecution(t.Context(), protocol.TenantID(d.tenant), "")
	var none *serviceerror.NotFound
	require.ErrorAs(t, err, &none, "only what is configured takes an execution")
}

func TestTenant_IsReadOnceASecond(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	observed := d.observe(nil)
	first := d.read()
	d.pass(999 * time.Millisecond)
	require.Same(t, first, d.read())
	require.Equal(t, int64(1), observed.looks.Load())

	d.pass(time.Millisecond)
	require.Same(t, first, d.read(), "where nothing changed nothing is sent")
	require.Equal(t, int64(2), observed.looks.Load())
}

// An installation at rest costs no queries: Temporal Cloud bills them.
func TestTenant_IsQueriedOnlyAfterAChange(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	observed := d.observe(nil)
	for range 3600 {
		require.Len(t, d.read().Endpoints, 1)
		d.pass(time.Second)
	}
	require.Equal(t, int64(3600), observed.looks.Load())
	require.Equal(t, int64(1), observed.count.Load(), "in an hour")

	_, _, err := New(Config{Temporal: temporal}).CreateEndpoint(t.Context(), d.tenant, endpoint("ep_2"))
	require.NoError(t, err)
	require.Len(t, d.read().Endpoints, 2)
	require.Equal(t, int64(2), observed.count.Load())
}

func TestTenant_IsAsOldAsTheBeginningOfItsRead(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	hold := make(chan struct{})
	observed := d.observe(hold)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = d.Tenant(t.Context(), d.tenant)
	}()
	eventually.True(t, func() bool { return observed.count.Load() == 1 })
	d.pass(time.Second) // while the answer is under way
	close(hold)
	<-read
	d.read()
	require.Equal(t, int64(2), observed.looks.Load())
}

func TestTenant_IsReadOnceForCallersAtOnce(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	hold := make(chan struct{})
	observed := d.observe(hold)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			tenant, err := d.Tenant(t.Context(), d.tenant)
			if err == nil && len(tenant.Endpoints) != 1 {
				err = errors.New("not as configured")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	eventually.True(t, func() bool { return observed.count.Load() == 1 })
	close(hold)
	all.Wait()
	require.Equal(t, int64(1), observed.count.Load())
}

func TestTenant_IsReadForCallersThatStay(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	hold := make(chan struct{})
	observed := d.observe(hold)
	canceled, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := d.Tenant(canceled, d.tenant)
		left <- err
	}()
	eventually.True(t, func() bool { return observed.count.Load() == 1 })
	go func() {
		_, err := d.Tenant(t.Context(), d.tenant)
		stayed <- err
	}()
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	close(hold)
	require.NoError(t, <-stayed)
}

func TestTenant_ShowsAtOnceWhatThisProcessChanged(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	for _, id := range []string{"ep_1", "ep_2", "ep_3"} {
		d.read()
		d.create(id)
		d.endpoint(id)
	}
	require.NoError(t, d.DeleteEndpoint(t.Context(), d.tenant, "ep_2"))
	require.Equal(t, []string{"ep_1", "ep_3"}, d.read().Subscribers("any"))
}

func TestTenant_ShowsAChangeThatOvertookAnOlderRead(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	hold := make(chan struct{})
	observed := d.observe(hold)
	older := make(chan *postdate.Tenant, 1)
	go func() {
		tenant, _ := d.Tenant(t.Context(), d.tenant)
		older <- tenant
	}()
	eventually.True(t, func() bool { return observed.count.Load() == 1 })

	d.observe(nil)
	d.create("ep_2") // while the answer of before is under way
	d.endpoint("ep_2")
	close(hold)
	require.Len(t, (<-older).Endpoints, 1)
	d.endpoint("ep_2")
}

func TestTenant_ShowsWhatAnotherProcessChangedWithinASecond(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	other := New(Config{Temporal: temporal})
	d.create("ep_1")
	require.Len(t, d.read().Endpoints, 1)
	_, _, err := other.CreateEndpoint(t.Context(), d.tenant, endpoint("ep_2"))
	require.NoError(t, err)
	d.pass(time.Second)
	require.Len(t, d.read().Endpoints, 2)
}

func TestTenant_IsDroppedWhenUnused(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	d.read()
	ask := func(name string) {
		_, err := d.Tenant(t.Context(), name)
		require.NoError(t, err)
	}
	ask("a guess")
	d.pass(30 * time.Second)
	ask("another")
	require.Nil(t, d.peek("a guess"))
	require.NotNil(t, d.peek(d.tenant))

	d.pass(40 * time.Second)
	ask("another")
	require.Nil(t, d.peek(d.tenant))
	require.NotNil(t, d.peek("another"))
	d.endpoint("ep_1")
}
