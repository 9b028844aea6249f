package deliveries_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

// The engine is real, and so is everything on it but who is sent to and what is
// configured.
var (
	temporal client.Client
	world    = &fakeWorld{
		tenants: make(map[string]*postdate.Tenant), receivers: make(map[string]receiver), turns: make(map[string]*turns),
	}

	encoded = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(),
		converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
)

func TestMain(m *testing.M) {
	enginetest.Main(m, func() (func(), error) {
		started, stop, err := enginetest.Start(func(o *client.Options) { o.DataConverter = encoded })
		if err != nil {
			return nil, err
		}
		temporal = started
		a := newTenantOf(0)
		act := &activities.Activities{
			Sender: world, Tenants: world, Starter: a, Publisher: a, Queue: a, Deliveries: a, AttemptLog: a, Limiter: world,
			Log: enginetest.Quiet, Now: time.Now,
		}
		stops := []func(){stop}
		for queue, register := range map[string]func(workflows.Registry){
			protocol.TaskQueue: workflows.Register, protocol.ControlQueue: workflows.RegisterControl,
		} {
			w := worker.New(temporal, queue, worker.Options{
				MaxConcurrentLocalActivityExecutionSize: 200, MaxHeartbeatThrottleInterval: 50 * time.Millisecond,
			})
			register(w)
			act.Register(w)
			if err := w.Start(); err != nil {
				return nil, err
			}
			stops = append(stops, w.Stop)
		}
		return func() {
			for _, stop := range slices.Backward(stops) {
				stop()
			}
		}, nil
	})
}

// newTenantOf is a tenant of which so many deliveries that are due in the same second
// start per second.
func newTenantOf(burstPerSecond int) *tenant { return newTenantOn(temporal, burstPerSecond) }

func newTenantOn(c client.Client, burstPerSecond int) *tenant {
	started := executions.New(executions.Config{Temporal: c, DataConverter: encoded, EagerStart: true})
	return &tenant{
		Ingester: ingest.New(ingest.Config{
			Temporal: c, Executions: started, Tenants: world, TenantBurstPerSecond: burstPerSecond, Log: enginetest.Quiet,
		}),
		Store: deliveries.New(deliveries.Config{
			Temporal: c, Executions: started, Tenants: world, Log: enginetest.Quiet,
			WorkerPolling: func(context.Context) (bool, error) { return true, nil },
		}),
		name: uuid.NewString(),
	}
}

// fakeWorld are what is configured, and the receivers.
type fakeWorld struct {
	mu        sync.Mutex
	tenants   map[string]*postdate.Tenant
	receivers map[string]receiver // by url
	turns     map[string]*turns   // by endpoint: of others everybody has one
}

// receiver is how an endpoint answers.
type receiver func(context.Context, postdate.Message) postdate.Attempt

func (f *fakeWorld) Tenant(_ context.Context, name string) (*postdate.Tenant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tenants[name]; t != nil {
		return t, nil
	}
	return &postdate.Tenant{}, nil
}

func (f *fakeWorld) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	return f.Tenant(ctx, name)
}

func (f *fakeWorld) Report(context.Context, string, string, postdate.Attempt) {}

func (f *fakeWorld) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	f.mu.Lock()
	answer := f.receivers[to.URL]
	f.mu.Unlock()
	if answer == nil {
		return postdate.Attempt{}, errors.New("no such receiver")
	}
	began := time.Now()
	made := answer(ctx, m)
	made.At = began
	return made, nil
}

// tenant is one that no other test has.
type tenant struct {
	*ingest.Ingester
	*deliveries.Store
	t    *testing.T
	name string
}

func newTenant(t *testing.T) *tenant {
	t.Helper()
	a := newTenantOf(0)
	a.t = t
	return a
}

// endpoint is a new one that subscribed to eventType, with a single retry soon.
func (t *tenant) endpoint(eventType string, answer receiver) string {
	id := "ep_" + uuid.NewString()
	e := postdate.Endpoint{
		ID: id, URL: "https://" + id + ".example/hooks", EventTypes: []string{eventType}, State: postdate.Enabled,
		Mode: postdate.Standard, Signature: postdate.HMAC, Retry: &postdate.Retry{Schedule: []postdate.Duration{0}},
	}
	world.mu.Lock()
	defer world.mu.Unlock()
	changed := postdate.Tenant{}
	if before := world.tenants[t.name]; before != nil {
		changed.Endpoints = slices.Clone(before.Endpoints)
	}
	changed.Endpoints = append(changed.Endpoints, e)
	world.tenants[t.name] = &changed
	world.receivers[e.URL] = answer
	return id
}

// answering answers with these statuses, one after another, and with the last of
// them for ever.
func answering(statuses ...int) receiver {
	var mu sync.Mutex
	return func(context.Context, postdate.Message) postdate.Attempt {
		mu.Lock()
		defer mu.Unlock()
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		return attempt(status)
	}
}

// mendable is a receiver that fails until it is mended, however often it is sent to:
// an attempt may be made twice.
func mendable() (answer receiver, mend func()) {
	var mended atomic.Bool
	return func(context.Context, postdate.Message) postdate.Attempt {
		if mended.Load() {
			return attempt(http.StatusOK)
		}
		return attempt(http.StatusBadGateway)
	}, func() { mended.Store(true) }
}

func attempt(status int) postdate.Attempt {
	outcome := postdate.Failed
	if status < http.StatusMultipleChoices {
		outcome = postdate.Accepted
	}
	return postdate.Attempt{Outcome: outcome, Status: status}
}

// publish publishes events, none of which is refused.
func (t *tenant) publish(events ...postdate.Event) []ingest.Published {
	t.t.Helper()
	published, err := t.PublishBatch(t.t.Context(), ingest.Batch{Tenant: t.name, Events: events})
	require.NoError(t.t, err)
	for _, p := range published {
		require.NoError(t.t, p.Err)
	}
	return published
}

// becomes waits until a delivery is in this state.
func (t *tenant) becomes(id string, state postdate.State) postdate.Delivery {
	t.t.Helper()
	var seen postdate.Delivery
	eventually.True(t.t, func() bool {
		var err error
		seen, err = t.Get(t.t.Context(), t.name, id)
		require.NoError(t.t, err)
		return seen.State == state
	}, 15*time.Second, 10*time.Millisecond, "%s: %s wanted: %+v", id, state, &seen)
	return seen
}

// listed waits until a list has n rows, for lists are a little behind.
func (t *tenant) listed(n int, f postdate.Filter) []postdate.DeliverySummary {
	t.t.Helper()
	f.Tenant = t.name
	var rows []postdate.DeliverySummary
	eventually.True(t.t, func() bool {
		rows = t.pages(f, 200)
		return len(rows) == n
	}, 15*time.Second, 20*time.Millisecond, "%+v: %d rows wanted: %v", f, n, &rows)
	return rows
}

// pages gets all pages of a list.
func (t *tenant) pages(f postdate.Filter, limit int) []postdate.DeliverySummary {
	t.t.Helper()
	var all []postdate.DeliverySummary
	var after deliveries.Cursor
	for {
		rows, next, err := t.List(t.t.Context(), f, after, limit)
		require.NoError(t.t, err)
		all = append(all, rows...)
		if next == (deliveries.Cursor{}) {
			return all
		}
		require.Len(t.t, rows, limit, "only the last page is short")
		after = next
	}
}
