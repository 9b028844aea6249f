package pull_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/internal/pull"
	"github.com/postdate/postdate/protocol"
)

func TestMain(m *testing.M) { deliverytest.Main(m) }

// shelf is an endpoint that is pulled from, of a tenant of its own.
type shelf struct {
	*deliverytest.Tenant

	endpoint string
}

func newShelf(t *testing.T, changes ...func(*postdate.Endpoint)) *shelf {
	t.Helper()
	s := &shelf{Tenant: deliverytest.New(t)}
	s.endpoint = s.PullEndpoint("t", func(e *postdate.Endpoint) {
		for _, change := range changes {
			change(e)
		}
	})
	return s
}

// publish publishes n events, each about an entity of its own, and returns the ids of their
// deliveries.
func (s *shelf) publish(n int) []string {
	s.T.Helper()
	events := make([]postdate.Event, n)
	for i := range events {
		events[i] = postdate.Event{Type: "t", Entity: "customer_" + strconv.Itoa(i), Data: json.RawMessage(strconv.Itoa(i))}
	}
	var ids []string
	for _, published := range s.PublishAll(events...) {
		ids = append(ids, published.Deliveries[0].ID)
	}
	return ids
}

// pull pulls up to n messages, and waits for the first.
func (s *shelf) pull(n int, lease time.Duration) []postdate.PulledMessage {
	s.T.Helper()
	messages, err := s.Pulls.Pull(s.T.Context(), s.Name, s.endpoint, pull.Request{Max: n, Wait: 20 * time.Second, Lease: lease})
	require.NoError(s.T, err)
	require.NotEmpty(s.T, messages)
	return messages
}

// pullAll pulls until n messages have come.
func (s *shelf) pullAll(n int, lease time.Duration) (messages []postdate.PulledMessage) {
	s.T.Helper()
	for len(messages) < n {
		messages = append(messages, s.pull(n-len(messages), lease)...)
	}
	return messages
}

// pullNothing pulls, and nothing comes.
func (s *shelf) pullNothing() {
	s.T.Helper()
	messages, err := s.Process(deliverytest.Options{}).Pulls.Pull(s.T.Context(), s.Name, s.endpoint, pull.Request{Max: 100, Lease: time.Minute})
	require.NoError(s.T, err)
	require.Empty(s.T, messages)
}

// settle settles messages, and returns what became of each.
func (s *shelf) settle(action postdate.SettleAction, messages ...postdate.PulledMessage) []postdate.SettleResult {
	s.T.Helper()
	return s.settleAs(pull.SettleRequest{Action: action, Lease: postdate.Duration(time.Minute)}, messages...)
}

func (s *shelf) settleAs(r pull.SettleRequest, messages ...postdate.PulledMessage) (results []postdate.SettleResult) {
	s.T.Helper()
	for _, m := range messages {
		r.Receipts = append(r.Receipts, m.Receipt)
	}
	settled, err := s.Pulls.Settle(s.T.Context(), s.Name, s.endpoint, r)
	require.NoError(s.T, err)
	for i, one := range settled {
		require.Equal(s.T, r.Receipts[i], one.Receipt)
		results = append(results, one.Result)
	}
	return results
}

// health is the endpoint's.
func (s *shelf) health() postdate.Health {
	s.T.Helper()
	h, err := s.Health(s.T.Context(), s.Name, postdate.Endpoint{ID: s.endpoint, Pull: true, State: postdate.Enabled})
	require.NoError(s.T, err)
	return h
}

// recordLine keeps the history of the line that a message was pulled from.
func (s *shelf) recordLine(name string, m postdate.PulledMessage) {
	s.T.Helper()
	receipt, ok := postdate.ParseReceipt(m.Receipt)
	require.True(s.T, ok)
	historytest.Record(s.T, deliverytest.Temporal, name, protocol.LineID(s.Name, s.endpoint, receipt.Line), "")
}

// recordDelivery keeps the history of a delivery that has an execution of its own.
func (s *shelf) recordDelivery(name, id string) {
	s.T.Helper()
	historytest.Record(s.T, deliverytest.Temporal, name, protocol.DeliveryID(s.Name, id), "")
}

// recordEndpoint keeps the history of the endpoint.
func (s *shelf) recordEndpoint(name string) {
	s.T.Helper()
	historytest.Record(s.T, deliverytest.Temporal, name, protocol.EndpointID(s.Name, s.endpoint), "")
}

// lineEnds waits until the line has ended that a message was pulled from.
func (s *shelf) lineEnds(m postdate.PulledMessage) {
	s.T.Helper()
	receipt, _ := postdate.ParseReceipt(m.Receipt)
	require.NoError(s.T, deliverytest.Temporal.GetWorkflow(s.T.Context(), protocol.LineID(s.Name, s.endpoint, receipt.Line), "").Get(s.T.Context(), nil))
}

func deliveryIDs(messages []postdate.PulledMessage) (ids []string) {
	for _, m := range messages {
		ids = append(ids, m.DeliveryID)
	}
	return ids
}

// are is n times the same result.
func are(result postdate.SettleResult, n int) (all []postdate.SettleResult) {
	for range n {
		all = append(all, result)
	}
	return all
}
