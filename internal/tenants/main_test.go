package tenants

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

// Temporal is real, and so are the tenants on it. What they announce, and the operations
// that they start, are recorded here.
var (
	temporal  client.Client
	queries   sync.Map // of *observed, by workflow id
	announced = newRecorded[protocol.Announcement]()
	sweeps    = newRecorded[protocol.SweepInput]()
)

func TestMain(m *testing.M) {
	enginetest.Main(m, func() (func(), error) {
		started, stop, err := enginetest.Start(func(o *client.Options) {
			o.Identity = "recorder"
			o.ConnectionOptions.DialOptions = []grpc.DialOption{grpc.WithChainUnaryInterceptor(observe)}
		})
		if err != nil {
			return nil, err
		}
		temporal = started
		w, operations := worker.New(temporal, protocol.ControlQueue, worker.Options{}), worker.New(temporal, protocol.OperationQueue, worker.Options{})
		register(w)
		register(operations)
		if err := errors.Join(w.Start(), operations.Start()); err != nil {
			return nil, err
		}
		return func() { operations.Stop(); w.Stop(); stop() }, nil
	})
}

// register registers what runs on the control queue.
func register(w worker.Registry) {
	workflows.RegisterControl(w)
	store := New(Config{Temporal: temporal})
	w.RegisterActivityWithOptions(store.SignalEndpoint, activity.RegisterOptions{Name: protocol.SignalEndpointActivity})
	w.RegisterActivityWithOptions(func(ctx context.Context, in protocol.EndpointCanaryChange) (protocol.EndpointSettings, error) {
		return store.ChangeCanary(ctx, in.Tenant, in.Change)
	}, activity.RegisterOptions{Name: protocol.ChangeCanaryActivity})
	w.RegisterActivityWithOptions(func(_ context.Context, news protocol.Announcement) error {
		announced.add(news.Tenant, news)
		return nil
	}, activity.RegisterOptions{Name: protocol.AnnounceActivity})
	w.RegisterActivityWithOptions(func(_ context.Context, in protocol.SweepInput) (protocol.SweepProgress, error) {
		sweeps.add(in.Filter.Tenant, in)
		return protocol.SweepProgress{}, nil
	}, activity.RegisterOptions{Name: protocol.SweepActivity})
}

// recorded is the input of the tenants' activities, by tenant.
type recorded[T any] struct {
	mu  sync.Mutex
	all map[string][]T
}

func newRecorded[T any]() *recorded[T] { return &recorded[T]{all: make(map[string][]T)} }

func (r *recorded[T]) add(tenant string, one T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[tenant] = append(r.all[tenant], one)
}

func (r *recorded[T]) of(tenant string) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[tenant]
}

// observed are the reads of one execution.
type observed struct {
	looks atomic.Int64 // descriptions
	count atomic.Int64 // queries
	// hold is received from before a query returns, where it is not nil.
	hold chan struct{}
}

func observe(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	err := invoke(ctx, method, request, reply, conn, options...)
	if look, ok := request.(*workflowservice.DescribeWorkflowExecutionRequest); ok {
		if o, ok := queries.Load(look.GetExecution().GetWorkflowId()); ok {
			o.(*observed).looks.Add(1)
		}
		return err
	}
	query, ok := request.(*workflowservice.QueryWorkflowRequest)
	if !ok {
		return err
	}
	if o, ok := queries.Load(query.GetExecution().GetWorkflowId()); ok {
		o := o.(*observed)
		o.count.Add(1)
		if o.hold != nil {
			<-o.hold
		}
	}
	return err
}

// clock is one that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a store and a tenant of the test's own.
type fixture struct {
	*Store
	*clock
	t      *testing.T
	tenant string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	now := &clock{now: time.Now()}
	return &fixture{New(Config{Temporal: temporal, Now: now.Now}), now, t, "tenant-" + uuid.NewString()}
}

// read reads the tenant.
func (d *fixture) read() *postdate.Tenant {
	d.t.Helper()
	tenant, err := d.Tenant(d.t.Context(), d.tenant)
	require.NoError(d.t, err)
	return tenant
}

// endpoint reads one endpoint.
func (d *fixture) endpoint(id string) postdate.Endpoint {
	d.t.Helper()
	e, ok := d.read().Endpoint(id)
	require.True(d.t, ok, "no endpoint %s", id)
	return e
}

// create creates an endpoint.
func (d *fixture) create(id string) postdate.Endpoint {
	d.t.Helper()
	added, created, err := d.CreateEndpoint(d.t.Context(), d.tenant, endpoint(id))
	require.NoError(d.t, err)
	require.True(d.t, created)
	return added
}

// forget deletes the tenant: its name is not the test's own.
func (d *fixture) forget() {
	ctx := context.Background() // the test's is over
	workflow := &commonpb.WorkflowExecution{WorkflowId: protocol.TenantID(d.tenant)}
	_, err := temporal.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: workflow,
	})
	require.NoError(d.t, err)
	eventually.True(d.t, func() bool {
		_, err := temporal.DescribeWorkflowExecution(ctx, workflow.GetWorkflowId(), "")
		return err != nil
	})
}

// observe counts the tenant's reads.
func (d *fixture) observe(hold chan struct{}) *observed {
	o := &observed{hold: hold}
	queries.Store(protocol.TenantID(d.tenant), o)
	return o
}

func endpoint(id string) postdate.Endpoint {
	return postdate.Endpoint{
		ID: id, URL: "https://crm.example/hooks", EventTypes: []string{"*"}, Mode: postdate.Standard,
		Signature: postdate.HMAC, State: postdate.Enabled, Digest: "asked for " + id,
		Secrets: postdate.ExpiringSecrets{{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}},
	}
}
