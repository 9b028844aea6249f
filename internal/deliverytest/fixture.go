// Package deliverytest runs ingest, deliveries and their workflows on a real Temporal,
// for tests. Only the receivers, the tenants' configuration and the permits are the
// tests' own.
package deliverytest

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

var (
	// Temporal is a client of the engine that [Main] starts.
	Temporal client.Client
	// Converter encodes what is recorded: tests find out where it was forgotten.
	Converter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(),
		converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))

	outside = &fakes{
		tenants: make(map[string]*postdate.Tenant), receivers: make(map[string]Receiver), permits: make(map[string]*Permits),
		starts: make(map[string]func()),
	}
)

// Main starts Temporal and the workers, and runs the tests of a package on them.
func Main(m *testing.M) { MainOn(m, "") }

// MainOn is [Main] on a new database beside the PostgreSQL database of that URL, or in
// memory where it is empty.
func MainOn(m *testing.M, postgres string) {
	enginetest.Main(m, func() (func(), error) {
		if postgres != "" {
			database, err := url.Parse(postgres)
			if err != nil {
				return nil, err
			}
			database.Path = "/deliverytest_" + uuid.NewString()
			postgres = database.String()
		}
		started, stop, err := enginetest.StartOn(postgres, func(o *client.Options) { o.DataConverter = Converter })
		if err != nil {
			return nil, err
		}
		Temporal = started
		stopWorkers, err := startWorkers()
		if err != nil {
			stop()
			return nil, err
		}
		return func() { stopWorkers(); stop() }, nil
	})
}

// startWorkers starts a worker for each task queue.
func startWorkers() (stop func(), err error) {
	a := newTenant(Options{})
	act := &activities.Activities{
		Sender: outside, Tenants: outside, Starter: starter{a}, Publisher: a, Queue: a, Deliveries: a, Postponer: a, Groups: a, AttemptLog: a, Limiter: outside,
		Recurrences: a.Recurrences, Withdrawer: a,
		Log: enginetest.Quiet, Now: time.Now,
	}
	var stops []func()
	stop = func() {
		for _, stop := range slices.Backward(stops) {
			stop()
		}
	}
	for queue, register := range map[string]func(workflows.Registry){
		protocol.TaskQueue: workflows.Register, protocol.ControlQueue: workflows.RegisterControl,
		protocol.OperationQueue: workflows.RegisterControl,
	} {
		w := worker.New(Temporal, queue, worker.Options{
			MaxConcurrentLocalActivityExecutionSize: 200, MaxHeartbeatThrottleInterval: 50 * time.Millisecond,
		})
		register(w)
		act.Register(w)
		if err := w.Start(); err != nil {
			stop()
			return nil, err
		}
		stops = append(stops, w.Stop)
	}
	return stop, nil
}

// fakes are the configuration of all tenants, their receivers and permits.
type fakes struct {
	mu        sync.Mutex
	tenants   map[string]*postdate.Tenant
	receivers map[string]Receiver // by url
	permits   map[string]*Permits // by endpoint; others are unlimited
	starts    map[string]func()   // by tenant
}

// starter starts deliveries that leave a group, when their test lets it.
type starter struct{ *Tenant }

// StartDelivery calls what [Tenant.BeforeStarts] was told, first.
func (s starter) StartDelivery(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) error {
	outside.mu.Lock()
	before := outside.starts[in.Shipment.Message.Tenant]
	outside.mu.Unlock()
	if before != nil {
		before()
	}
	return s.Tenant.StartDelivery(ctx, in, accepted)
}

// Tenant is the configuration of a tenant.
func (f *fakes) Tenant(_ context.Context, name string) (*postdate.Tenant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tenants[name]; t != nil {
		return t, nil
	}
	return &postdate.Tenant{}, nil
}

// Fresh is Tenant.
func (f *fakes) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	return f.Tenant(ctx, name)
}

// Report does nothing.
func (f *fakes) Report(context.Context, string, string, postdate.Attempt) {}

// Send makes an attempt at a receiver.
func (f *fakes) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	f.mu.Lock()
	answer := f.receivers[to.URL]
	f.mu.Unlock()
	if answer == nil {
		return postdate.Attempt{}, errors.New("no such receiver")
	}
	began := time.Now()
	attempt := answer(ctx, m)
	attempt.At = began
	return attempt, nil
}
