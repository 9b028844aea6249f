package webhook

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/signature"
)

// forms are one message as CloudEvents have it.
var forms = map[string]struct {
	message    postdate.Message
	structured string
	binary     map[string]string
}{
	"a message of ours": {
		message: message,
		structured: `{"specversion":"1.0","id":"pr_123-expiry","source":"/postdate/acme","type":"payment_request.due",` +
			`"time":"2027-01-01T09:00:00.123456789Z","datacontenttype":"application/json","data":{"payment_request":"pr_123"}}`,
		binary: map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "pr_123-expiry", "Ce-Source": "/postdate/acme", "Ce-Type": "payment_request.due",
			"Ce-Time": "2027-01-01T09:00:00.123456789Z", "Content-Type": "application/json",
		},
	},
	"with an entity, and without data": {
		message: postdate.Message{ID: "evt_1", Tenant: "a", Type: `say "x" — 100%`, Entity: "Euro € 😀", Timestamp: fixed.Truncate(time.Second).In(time.FixedZone("", 3600))},
		structured: `{"specversion":"1.0","id":"evt_1","source":"/postdate/a","type":"say \"x\" — 100%",` +
			`"time":"2027-01-01T09:00:00Z","subject":"Euro € 😀"}`,
		binary: map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "evt_1", "Ce-Source": "/postdate/a", "Ce-Type": "say%20%22x%22%20%E2%80%94%20100%25",
			"Ce-Time": "2027-01-01T09:00:00Z", "Ce-Subject": "Euro%20%E2%82%AC%20%F0%9F%98%80",
		},
	},
	"as it came": {
		message: postdate.Message{
			ID: "evt_1", Tenant: "acme", Type: "com.example.sold", Entity: "customer_42", Timestamp: fixed.Truncate(time.Second),
			Data: json.RawMessage(`{"n": 1.10, "html":"<b>"}`),
			CloudEvent: &postdate.CloudEvent{
				Source: "https://shop.example/a%20b?c=<d>", Subject: "order/7", DataSchema: "https://shop.example/sold.json",
				Extensions: map[string]any{
					"urgent": true, "attempt": float64(2147483647), "delta": float64(-3), "note": `<b> "x"`, "partitionkey": "7",
					"traceparent": parent,
				},
			},
		},
		structured: `{"specversion":"1.0","id":"evt_1","source":"https://shop.example/a%20b?c=<d>","type":"com.example.sold",` +
			`"time":"2027-01-01T09:00:00Z","subject":"order/7","dataschema":"https://shop.example/sold.json",` +
			`"attempt":2147483647,"delta":-3,"note":"<b> \"x\"","partitionkey":"7","traceparent":"` + parent + `","urgent":true,` +
			`"datacontenttype":"application/json","data":{"n": 1.10, "html":"<b>"}}`,
		binary: map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "evt_1", "Ce-Source": "https://shop.example/a%2520b?c=<d>", "Ce-Type": "com.example.sold",
			"Ce-Time": "2027-01-01T09:00:00Z", "Ce-Subject": "order/7", "Ce-Dataschema": "https://shop.example/sold.json",
			"Ce-Attempt": "2147483647", "Ce-Delta": "-3", "Ce-Note": "<b>%20%22x%22", "Ce-Partitionkey": "7",
			"Ce-Traceparent": parent, "Ce-Urgent": "true", "Content-Type": "application/json",
		},
	},
	"as it came, with an id of its own and without a time": {
		message: postdate.Message{
			ID: "ce_0123", Tenant: "acme", Type: "com.example.sold", Timestamp: fixed.Truncate(time.Second),
			CloudEvent: &postdate.CloudEvent{
				ID: "2026/06+1.é=", NoTime: true, Source: "/shop",
				Extensions: map[string]any{"partitionkey": "7", "least": float64(-2147483648)},
			},
		},
		structured: `{"specversion":"1.0","id":"2026/06+1.é=","source":"/shop","type":"com.example.sold",` +
			`"least":-2147483648,"partitionkey":"7"}`,
		binary: map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "2026/06+1.%C3%A9=", "Ce-Source": "/shop", "Ce-Type": "com.example.sold",
			"Ce-Partitionkey": "7", "Ce-Least": "-2147483648",
		},
	},
}

func TestSend_IsACloudEventInTheFormThatTheEndpointChose(t *testing.T) {
	t.Parallel()
	for name, c := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := deliver(t, c.message, postdate.CloudEventsStructured)
			require.Equal(t, c.structured, got.body)
			require.Equal(t, "application/cloudevents+json", got.Header.Get("Content-Type"))
			require.Empty(t, described(got.Header, "Ce-"))

			got = deliver(t, c.message, postdate.CloudEventsBinary)
			require.Equal(t, string(c.message.Data), got.body)
			require.Equal(t, c.binary, described(got.Header, "Ce-", "Content-Type"))
		})
	}
}

// The SDK does not decode percents (github.com/cloudevents/sdk-go/issues/1331), so
// what has them is left to the table above.
func TestSend_IsReceivedByTheSDKOfCloudEvents(t *testing.T) {
	t.Parallel()
	for _, mode := range []postdate.Mode{postdate.CloudEventsStructured, postdate.CloudEventsBinary} {
		for name, c := range forms {
			t.Run(string(mode)+" "+name, func(t *testing.T) {
				t.Parallel()
				got := deliver(t, c.message, mode)
				event, err := cloudevents.NewEventFromHTTPRequest(got.again())
				require.NoError(t, err)
				require.NoError(t, event.Validate())
				requireSame(t, c.message, *event, mode)
			})
		}
	}
}

func requireSame(t *testing.T, m postdate.Message, e cloudevents.Event, mode postdate.Mode) {
	t.Helper()
	require.Equal(t, "1.0", e.SpecVersion())
	if m.CloudEvent != nil && m.CloudEvent.NoTime {
		require.True(t, e.Time().IsZero())
	} else {
		require.Equal(t, m.ID, e.ID())
		require.True(t, m.Timestamp.Equal(e.Time()))
	}
	require.Equal(t, string(m.Data), string(e.Data()), "byte for byte")
	if len(m.Data) > 0 {
		require.Equal(t, "application/json", e.DataContentType())
	}
	if mode == postdate.CloudEventsStructured {
		require.Equal(t, m.Type, e.Type())
	}
	if m.CloudEvent == nil {
		require.Equal(t, "/postdate/"+m.Tenant, e.Source())
		require.Empty(t, e.Extensions())
		return
	}
	require.Equal(t, m.CloudEvent.Subject, e.Subject())
	require.Equal(t, m.CloudEvent.DataSchema, e.DataSchema())
	require.Len(t, e.Extensions(), len(m.CloudEvent.Extensions))
	require.Equal(t, "7", e.Extensions()["partitionkey"])
	if mode == postdate.CloudEventsStructured {
		require.Equal(t, m.CloudEvent.Source, e.Source())
		if m.CloudEvent.NoTime {
			require.Equal(t, m.CloudEvent.ID, e.ID())
			require.EqualValues(t, -2147483648, e.Extensions()["least"])
			return
		}
		require.Equal(t, true, e.Extensions()["urgent"])
		require.EqualValues(t, 2147483647, e.Extensions()["attempt"])
	}
}

// deliver sends m in that mode, and is what arrived, its signature verified.
func deliver(t *testing.T, m postdate.Message, mode postdate.Mode) seen {
	t.Helper()
	arrived := make(chan seen, 1)
	to := serve(t, record(arrived))
	to.Mode = mode
	a, err := open().Send(t.Context(), m, to)
	require.NoError(t, err)
	require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
	got := <-arrived
	require.Equal(t, m.ID, got.Header.Get("Webhook-Id"))
	require.NoError(t, signature.Verify(got.Header, []byte(got.body), fixed, time.Second, secret))
	return got
}

// described are the headers whose names begin with one of prefixes.
func described(h http.Header, prefixes ...string) map[string]string {
	found := map[string]string{}
	for name, values := range h {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				found[name] = strings.Join(values, ", ")
			}
		}
	}
	return found
}
