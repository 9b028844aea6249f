package system

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestStreams_MessagesAreKnownByTheirData(t *testing.T) {
	t.Parallel()
	m := rig.NewMessages(1, "m", "", time.Unix(1_800_000_000, 0))[0]
	events, kafka := Events{Type: "paid"}, Stream{Name: "kafka"}
	for _, r := range []rig.Record{events.Record(m), events.CloudEvent(m, kafka.AttributePrefix()), kafka.ScheduleRecord(m)} {
		require.Equal(t, "m-0", NameIn(r.Body), string(r.Body))
	}
	require.Equal(t, "2027-01-15T08:00:00Z", events.CloudEvent(m, "ce_").Headers["postdate-due-at"])
	require.JSONEq(t, `{"type": "payment_request.due", "entity": "m_customer_0", "due_at": "2027-01-15T08:00:00Z", "to": {"stream": "kafka-out"},
		"data": {"payment_request": "m-0", "amount": 4200, "currency": "EUR"}}`, string(kafka.ScheduleRecord(m).Body))
	require.Empty(t, NameIn([]byte(`{}`)))
}

func TestStreams_AreToldToPostdate(t *testing.T) {
	t.Parallel()
	p := new(Postdate)
	k, err := rig.StartKafka()
	require.NoError(t, err)
	t.Cleanup(k.Stop)
	p.SetStreams(true, Stream{k, "kafka"})
	require.Equal(t, []string{`POSTDATE_STREAMS=[{"consume":{"group":"postdate","share":true,"tenant":"default"},"name":"kafka-in","topic":"in","url":"kafka://` +
		k.Address() + `"},{"name":"kafka-out","tenants":["*"],"topic":"out","url":"kafka://` + k.Address() + `"}]`}, p.env)
}
