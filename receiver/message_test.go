package receiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseMessage_ReadsEveryForm(t *testing.T) {
	t.Parallel()
	due := time.Date(2027, 1, 1, 9, 0, 0, 123456789, time.UTC)
	standard := `{"type":"payment_request.due","timestamp":"2027-01-01T09:00:00.123456789Z","data":{"n": 1.10}}`
	structured := `{"specversion":"1.0","id":"pr_123-expiry","source":"/postdate/acme","type":"payment_request.due",` +
		`"time":"2027-01-01T09:00:00.123456789Z","datacontenttype":"application/json","data":{"n": 1.10}}`
	binary := func(prefix string) map[string][]string {
		return map[string][]string{
			prefix + "specversion": {"1.0"}, prefix + "id": {"pr_123-expiry"}, prefix + "type": {"payment_request.due"},
			prefix + "time": {"2027-01-01T09:00:00.123456789Z"}, prefix + "source": {"/postdate/acme"},
		}
	}
	for name, c := range map[string]struct {
		header map[string][]string
		body   string
	}{
		"standard":             {map[string][]string{"webhook-id": {"pr_123-expiry"}}, standard},
		"standard, of HTTP":    {map[string][]string{"Webhook-Id": {"pr_123-expiry"}}, standard},
		"standard, of Svix":    {map[string][]string{"svix-id": {"pr_123-expiry"}}, standard},
		"structured":           {map[string][]string{"Content-Type": {"application/cloudevents+json"}}, structured},
		"structured, untyped":  {nil, structured},
		"binary, of HTTP":      {binary("Ce-"), `{"n": 1.10}`},
		"binary, of NATS":      {binary("ce-"), `{"n": 1.10}`},
		"binary, of Kafka":     {binary("ce_"), `{"n": 1.10}`},
		"binary, of AMQP":      {binary("cloudEvents_"), `{"n": 1.10}`},
		"binary, of older one": {binary("cloudEvents:"), `{"n": 1.10}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := ParseMessage(c.header, []byte(c.body))
			require.Equal(t, "pr_123-expiry", m.ID)
			require.Equal(t, "payment_request.due", m.Type)
			require.True(t, due.Equal(m.Timestamp), m.Timestamp)
			require.Equal(t, `{"n": 1.10}`, string(m.Data), "byte for byte")
			require.Equal(t, c.body, string(m.Body))
			require.NoError(t, m.validate())
		})
	}
}

func TestParseMessage_PrefersTheIDThatIsSigned(t *testing.T) {
	t.Parallel()
	m := ParseMessage(map[string][]string{
		"webhook-id": {"evt_1"}, "webhook-timestamp": {"1800000000"}, "ce-id": {"another"}, "ce-specversion": {"1.0"},
		"ce-type": {"say%20%22x%22"}, "empty": {},
	}, nil)
	require.Equal(t, "evt_1", m.ID)
	require.Equal(t, `say "x"`, m.Type)
	require.Zero(t, m.SentAt, "a broker delivers the same headers again later")
	require.Equal(t, "evt_1", m.Header.Get("Webhook-ID"))
}

// Bindings other than HTTP's, and NATS's, which follows it, do not encode attributes.
func TestParseMessage_DecodesWhatIsEncodedAlone(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"ce_", "cloudEvents_", "cloudEvents:"} {
		m := ParseMessage(map[string][]string{prefix + "specversion": {"1.0"}, prefix + "id": {"100%25"}, prefix + "type": {"a%20b"}}, nil)
		require.Equal(t, "100%25", m.ID)
		require.Equal(t, "a%20b", m.Type)
	}
}

func TestParseMessage_LeavesEmptyWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Message{
		"":                        {},
		"not JSON":                {},
		"[1,2]":                   {},
		"null":                    {},
		`{"id":"5","amount":3}`:   {},
		`{"type":7,"data":null}`:  {Data: []byte("null")},
		`{"type":"a","time":"b"}`: {Type: "a"},
		`{"type":"a","timestamp":1800000000,"data":[]}`: {Type: "a", Data: []byte("[]")},
	} {
		m := ParseMessage(map[string][]string{"webhook-timestamp": {"soon"}}, []byte(body))
		m.Header, m.Body = nil, nil
		require.Equal(t, want, m, body)
		require.Error(t, m.validate())
	}
}
