package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/ledger"
	"github.com/postdate/postdate/workflows"
)

// The engine is real, and so is everything on it but who is sent to and what is
// configured.
var (
	temporal client.Client
	quiet    = slog.New(slog.DiscardHandler)
	world    = &fakes{
		tenants: make(map[string]*postdate.Tenant), receivers: make(map[string]receiver), turns: make(map[string]*turns),
	}

	encoded = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(),
		converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	attributes := make(map[string]enumspb.IndexedValueType)
	for _, key := range workflows.SearchAttributes {
		attributes[key.GetName()] = key.GetValueType()
	}
	started, err := engine.Start(context.Background(), engine.Config{Memory: true, SearchAttributes: attributes, Logger: quiet})
	if err != nil {
		return 0, err
	}
	defer started.Stop()
	temporal, err = client.Dial(client.Options{
		HostPort: started.Address(), Logger: log.NewStructuredLogger(quiet), DataConverter: encoded,
	})
	if err != nil {
		return 0, err
	}
	defer temporal.Close()
	act := &activities.Activities{Sender: world, Directory: world, Engine: newLedger(), Pacer: world, Log: quiet, Now: time.Now}
	for queue, register := range map[string]func(workflows.Registry){
		workflows.TaskQueue: workflows.Register, workflows.ControlQueue: workflows.RegisterControl,
	} {
		w := worker.New(temporal, queue, worker.Options{
			MaxConcurrentLocalActivityExecutionSize: 200, MaxHeartbeatThrottleInterval: 50 * time.Millisecond,
		})
		register(w)
		act.Register(w)
		if err := w.Start(); err != nil {
			return 0, err
		}
		defer w.Stop() //nolint:gocritic // two of them, until the tests are over
	}
	return m.Run(), nil
}

func newLedger() *ledger.Ledger { return newCrowdedLedger(0) }

// newCrowdedLedger is one that has so many of a crowd woken in each second.
func newCrowdedLedger(duePerSecond int) *ledger.Ledger {
	return ledger.New(ledger.Config{
		Temporal: temporal, DataConverter: encoded, Directory: world, EagerStart: true, Log: quiet,
		WorkerPolling: func(context.Context) (bool, error) { return true, nil },
		DuePerSecond:  duePerSecond,
	})
}

// fakes are what is configured, and the receivers.
type fakes struct {
	mu        sync.Mutex
	tenants   map[string]*postdate.Tenant
	receivers map[string]receiver // by url
	turns     map[string]*turns   // by endpoint: of others everybody has one
}

// receiver is how an endpoint answers.
type receiver func(context.Context, postdate.Message) postdate.Attempt

func (f *fakes) Tenant(_ context.Context, name string) (*postdate.Tenant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tenants[name]; t != nil {
		return t, nil
	}
	return &postdate.Tenant{}, nil
}

func (f *fakes) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	return f.Tenant(ctx, name)
}

func (f *fakes) Report(context.Context, string, string, postdate.Attempt) {}

func (f *fakes) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
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
	*ledger.Ledger
	t    *testing.T
	name string
}

func newTenant(t *testing.T) *tenant {
	t.Helper()
	return &tenant{Ledger: newLedger(), t: t, name: uuid.NewString()}
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
func (t *tenant) publish(events ...postdate.Event) []ledger.Published {
	t.t.Helper()
	published, err := t.PublishBatch(t.t.Context(), ledger.Batch{Tenant: t.name, Events: events})
	require.NoError(t.t, err)
	for _, p := range published {
		require.NoError(t.t, p.Err)
	}
	return published
}

// becomes waits until a delivery is in this state.
func (t *tenant) becomes(id string, state postdate.State) *ledger.Sight {
	t.t.Helper()
	var seen *ledger.Sight
	require.Eventually(t.t, func() bool {
		var err error
		seen, err = t.Look(t.t.Context(), t.name, id)
		require.NoError(t.t, err)
		return seen.State(time.Now()) == state
	}, 15*time.Second, 10*time.Millisecond, "%s: %s wanted: %+v", id, state, &seen)
	return seen
}

// listed waits until a list has n rows, for lists are a little behind.
func (t *tenant) listed(n int, f postdate.Filter) []ledger.Row {
	t.t.Helper()
	f.Tenant = t.name
	var rows []ledger.Row
	require.Eventually(t.t, func() bool {
		rows = t.pages(f, 200)
		return len(rows) == n
	}, 15*time.Second, 20*time.Millisecond, "%+v: %d rows wanted: %v", f, n, &rows)
	return rows
}

// pages gets all pages of a list.
func (t *tenant) pages(f postdate.Filter, limit int) []ledger.Row {
	t.t.Helper()
	var all []ledger.Row
	var after *ledger.Position
	for {
		rows, next, err := t.List(t.t.Context(), f, after, limit)
		require.NoError(t.t, err)
		all = append(all, rows...)
		if next == nil {
			return all
		}
		require.Len(t.t, rows, limit, "only the last page is short")
		after = next
	}
}
