package deliverytest

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/pull"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/protocol"
)

// Options are those of a tenant's process.
type Options struct {
	// Client is [Temporal] where it is nil.
	Client client.Client
	// BurstPerSecond is how many deliveries that are due in the same second start per
	// second.
	BurstPerSecond int
	// Quotas bound what is accepted: nothing does where it is nil.
	Quotas ingest.Quotas
}

// Tenant is a tenant that no other test has, and a process that serves it.
type Tenant struct {
	*ingest.Ingester
	*deliveries.Store
	Recurrences *recurrences.Store
	Pulls       *pull.Store

	T    *testing.T
	Name string
}

// New returns a new tenant.
func New(t *testing.T) *Tenant {
	t.Helper()
	return NewWith(t, Options{})
}

// NewWith returns a new tenant of a process with these options.
func NewWith(t *testing.T, o Options) *Tenant {
	t.Helper()
	tenant := newTenant(o)
	tenant.T = t
	return tenant
}

func newTenant(o Options) *Tenant {
	c := o.Client
	if c == nil {
		c = Temporal
	}
	started := executions.New(executions.Config{Temporal: c, DataConverter: Converter, EagerStart: true})
	tenant := &Tenant{
		Ingester: ingest.New(ingest.Config{
			Temporal: c, Executions: started, Tenants: outside, BurstPerSecond: func() int { return o.BurstPerSecond }, Quotas: o.Quotas, Log: enginetest.Quiet,
		}),
		Store: deliveries.New(deliveries.Config{
			Temporal: c, Executions: started, Tenants: outside, Log: enginetest.Quiet,
			WorkerPolling: func(context.Context) (bool, error) { return true, nil },
		}),
		Name: uuid.NewString(),
	}
	tenant.Pulls = pull.New(pull.Config{Temporal: c, Executions: started, Tenants: outside, Deliveries: tenant.Store, Log: enginetest.Quiet})
	tenant.Recurrences = recurrences.New(recurrences.Config{
		Temporal: c, Executions: started, Tenants: outside, Starter: tenant.Ingester, Deliveries: tenant.Store,
	})
	return tenant
}

// Process is another process that serves the same tenant.
func (t *Tenant) Process(o Options) *Tenant {
	other := newTenant(o)
	other.T, other.Name = t.T, t.Name
	return other
}

// Configure changes what is configured for the tenant.
func (t *Tenant) Configure(change func(*postdate.Tenant)) {
	outside.mu.Lock()
	defer outside.mu.Unlock()
	changed := postdate.Tenant{}
	if before := outside.tenants[t.Name]; before != nil {
		changed.Endpoints, changed.Version = slices.Clone(before.Endpoints), before.Version+1
	}
	change(&changed)
	outside.tenants[t.Name] = &changed
}

// BeforeStarts has a function called before a worker starts the execution of a delivery that
// leaves its group.
func (t *Tenant) BeforeStarts(do func()) {
	outside.mu.Lock()
	defer outside.mu.Unlock()
	outside.starts[t.Name] = do
}

// Endpoint adds an endpoint that subscribes to an event type, with one retry at once.
func (t *Tenant) Endpoint(eventType string, answer Receiver) (id string) {
	id = "ep_" + uuid.NewString()
	url := "https://" + id + ".example/hooks"
	t.Configure(func(tenant *postdate.Tenant) {
		tenant.Endpoints = append(tenant.Endpoints, postdate.Endpoint{
			ID: id, URL: url, EventTypes: []string{eventType}, State: postdate.Enabled,
			Mode: postdate.Standard, Signature: postdate.HMAC, Retry: &postdate.Retry{Schedule: []postdate.Duration{0}},
		})
		outside.receivers[url] = answer
	})
	return id
}

// PullEndpoint adds an endpoint that is pulled from, with one retry at once, changed by
// change.
func (t *Tenant) PullEndpoint(eventType string, change func(*postdate.Endpoint)) (id string) {
	endpoint := postdate.Endpoint{
		ID: "ep_" + uuid.NewString(), Pull: true, EventTypes: []string{eventType}, State: postdate.Enabled,
		Mode: postdate.Standard, Signature: postdate.HMAC, Retry: &postdate.Retry{Schedule: []postdate.Duration{0}},
	}
	change(&endpoint)
	t.Configure(func(tenant *postdate.Tenant) { tenant.Endpoints = append(tenant.Endpoints, endpoint) })
	return endpoint.ID
}

// PublishAll publishes events, none of which is refused.
func (t *Tenant) PublishAll(events ...postdate.Event) []ingest.Published {
	t.T.Helper()
	published, err := t.PublishBatch(t.T.Context(), ingest.Batch{Tenant: t.Name, Events: events})
	require.NoError(t.T, err)
	for _, p := range published {
		require.NoError(t.T, p.Err)
	}
	return published
}

// Schedule starts a delivery to a bare url that is due at that time, and expires. The
// zero time is never.
func (t *Tenant) Schedule(id string, at, expires time.Time) (postdate.Delivery, error) {
	now := time.Now()
	return t.Start(t.T.Context(), protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{ID: id, Tenant: t.Name, Type: "t", Timestamp: now},
			To:      postdate.Destination{URL: "https://nobody.example"},
			DueAt:   at, Timeout: postdate.Duration(time.Second),
		},
		Retry: postdate.Retry{}.WithDefaults(), Terms: protocol.Terms{ExpiresAt: expires},
	}, protocol.Accepted{At: now})
}

// Line is a line of an import, of a schedule to a bare url.
func (t *Tenant) Line(number int, importName string, due time.Time) ingest.Line {
	in := protocol.DeliverInput{Retry: postdate.Retry{}.WithDefaults(), Terms: protocol.Terms{Import: importName}}
	in.Shipment = protocol.DeliveryTask{
		Message: postdate.Message{ID: "made", Tenant: t.Name, Type: "t", Timestamp: due, Data: []byte(strconv.Itoa(number))},
		To:      postdate.Destination{URL: "https://nobody.example"}, DueAt: due, Timeout: postdate.Duration(time.Second),
	}
	accepted := protocol.Accepted{Digest: strconv.Itoa(number), To: in.Shipment.To, At: time.Now().UTC()}
	return ingest.Line{Unnamed: ingest.Unnamed{Input: in, Accepted: accepted}, Number: number}
}

// EnqueueRequest asks for an event's delivery to be enqueued.
func (t *Tenant) EnqueueRequest(endpoint, event string, data json.RawMessage) protocol.EnqueueRequest {
	return protocol.EnqueueRequest{Tenant: t.Name, Endpoint: endpoint, Entry: protocol.QueueEntry{
		DeliveryID: postdate.DeliveryID(event, endpoint), At: time.Now().UTC(),
		Message: &postdate.Message{ID: event, Tenant: t.Name, Type: "t", Entity: "customer_42", Data: data},
	}}
}

// Becomes waits until a delivery is in this state.
func (t *Tenant) Becomes(id string, state postdate.State) postdate.Delivery {
	t.T.Helper()
	var delivery postdate.Delivery
	eventually.True(t.T, func() bool {
		var err error
		delivery, err = t.Get(t.T.Context(), t.Name, id)
		require.NoError(t.T, err)
		return delivery.State == state
	}, "%s: %s wanted: %+v", id, state, &delivery)
	return delivery
}

// Listed waits until a list has n rows: lists are a little behind.
func (t *Tenant) Listed(n int, f postdate.Filter) []postdate.DeliverySummary {
	t.T.Helper()
	f.Tenant = cmp.Or(f.Tenant, t.Name)
	var rows []postdate.DeliverySummary
	eventually.True(t.T, func() bool {
		rows = t.Pages(f, 200)
		return len(rows) == n
	}, "%+v: %d rows wanted: %v", f, n, &rows)
	return rows
}

// Pages returns all pages of a list.
func (t *Tenant) Pages(f postdate.Filter, limit int) []postdate.DeliverySummary {
	t.T.Helper()
	var all []postdate.DeliverySummary
	var after deliveries.Cursor
	for {
		rows, next, err := t.List(t.T.Context(), f, after, limit)
		require.NoError(t.T, err)
		all = append(all, rows...)
		if next == (deliveries.Cursor{}) {
			return all
		}
		require.Len(t.T, rows, limit, "only the last page is short")
		after = next
	}
}

// IDs are the ids of rows.
func IDs(rows []postdate.DeliverySummary) []string {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}
