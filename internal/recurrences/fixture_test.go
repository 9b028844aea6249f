package recurrences_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// schedule is a recurring schedule of a test, and what its receiver got.
type schedule struct {
	*deliverytest.Tenant
	id       string
	endpoint string

	mu       sync.Mutex
	received []postdate.Message
}

// recur creates a recurring schedule whose receiver answers as answer does.
func recur(t *testing.T, recurrence string, answer deliverytest.Receiver) *schedule {
	t.Helper()
	s := &schedule{Tenant: deliverytest.New(t), id: "report"}
	s.endpoint = s.Endpoint("report", s.note(answer))
	_, err := s.Recurrences.Create(t.Context(), s.input(rule(t, recurrence)))
	require.NoError(t, err)
	return s
}

// note is a receiver that keeps what it gets, and answers as answer does.
func (s *schedule) note(answer deliverytest.Receiver) deliverytest.Receiver {
	return func(ctx context.Context, m postdate.Message) postdate.Attempt {
		s.mu.Lock()
		s.received = append(s.received, m)
		s.mu.Unlock()
		return answer(ctx, m)
	}
}

// daily is a rule whose ticks are half a day away, at whatever time the tests run.
func daily() string {
	return fmt.Sprintf(`{"cron":"0 %d * * *"}`, time.Now().UTC().Add(12*time.Hour).Hour())
}

func rule(t *testing.T, recurrence string) postdate.Recurrence {
	t.Helper()
	var r postdate.Recurrence
	require.NoError(t, json.Unmarshal([]byte(recurrence), &r))
	require.NoError(t, r.Validate())
	return r
}

// input is a recurring schedule that was accepted just now.
func (s *schedule) input(r postdate.Recurrence) protocol.RecurrenceInput {
	in := protocol.RecurrenceInput{ID: s.id, Recurrence: r, Accepted: protocol.Accepted{Digest: "digest", At: time.Now().UTC()}}
	in.Task.Retry = postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(time.Hour)}}.WithDefaults()
	in.Task.Shipment.To = postdate.Destination{Endpoint: s.endpoint}
	in.Task.Shipment.Message = postdate.Message{Tenant: s.Name, Type: "report", Entity: "customer_42", Data: []byte(`{"a":1}`)}
	in.Accepted.To = in.Task.Shipment.To
	return in
}

func (s *schedule) get() postdate.RecurringSchedule {
	s.T.Helper()
	got, err := s.Recurrences.Get(s.T.Context(), s.Name, s.id)
	require.NoError(s.T, err)
	return got
}

// becomes waits until the schedule satisfies a condition.
func (s *schedule) becomes(condition func(postdate.RecurringSchedule) bool) postdate.RecurringSchedule {
	s.T.Helper()
	var got postdate.RecurringSchedule
	eventually.True(s.T, func() bool { got = s.get(); return condition(got) }, "%+v", &got)
	return got
}

func (s *schedule) becomesState(state postdate.State) postdate.RecurringSchedule {
	s.T.Helper()
	return s.becomes(func(r postdate.RecurringSchedule) bool { return r.State == state })
}

// messages are those that the receiver got.
func (s *schedule) messages() []postdate.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]postdate.Message(nil), s.received...)
}

// waitUntil waits for a moment of the real clock, which the engine keeps to.
func (s *schedule) waitUntil(at time.Time) {
	s.T.Helper()
	eventually.True(s.T, func() bool { return time.Now().After(at) })
}
