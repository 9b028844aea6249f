package deliveries_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

// odd are values that some database's query language has a use for.
var odd = []string{
	"what?", "?", "$1", "O'Neill", `"quoted"`, `back\slash`, "a♡b", "50%", "%27", "a_b", "=x", "==", "--", "/*", ";", "ü", "NULL", "a%3Fb",
	"a' OR '1'='1", "*", "a*", "(", "NOT x", "a AND b", "{x}", "[1]", "☃", "a  b", ":1", "@p1",
}

// Every value finds its own deliveries, whichever execution carries them, and no others.
func TestFilter_FindsWhateverAValueHolds(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	var events []postdate.Event
	for n, value := range odd {
		events = append(events, postdate.Event{Type: "t" + value, Entity: value})
		now := time.Now()
		_, err := a.Start(t.Context(), protocol.DeliverInput{
			Shipment: protocol.DeliveryTask{
				Message: postdate.Message{ID: "s" + strconv.Itoa(n), Tenant: a.Name, Type: "t" + value, Entity: value, Timestamp: now},
				To:      postdate.Destination{Endpoint: endpoint}, DueAt: now.Add(time.Hour),
			},
		}, protocol.Accepted{At: now, To: postdate.Destination{Endpoint: endpoint}})
		require.NoError(t, err)
	}
	published, err := a.PublishBatch(t.Context(), ingest.Batch{Tenant: a.Name, Events: events})
	require.NoError(t, err)
	a.Listed(2*len(odd), postdate.Filter{})
	for n, value := range odd {
		require.NoError(t, published[n].Err)
		want := []string{published[n].Deliveries[0].ID, "s" + strconv.Itoa(n)}
		for _, f := range []postdate.Filter{{Entity: value}, {Type: "t" + value}, {Entity: value, Type: "t" + value, Endpoint: endpoint}} {
			rows := a.Listed(2, f)
			require.ElementsMatch(t, want, deliverytest.IDs(rows), value)
			for _, row := range rows {
				require.Equal(t, value, row.Entity)
				require.Equal(t, "t"+value, row.Type)
			}
		}
	}
	for _, value := range []string{"'", `\`, "a\x00b", "\xff", "what", "what??", "x' OR Tenant != '"} {
		for _, f := range []postdate.Filter{{Entity: value}, {Type: value}, {Endpoint: value}} {
			f.Tenant = a.Name
			count, err := a.Count(t.Context(), f)
			require.NoError(t, err, value)
			require.Zero(t, count, value)
		}
	}
}

func TestOperation_EndsWhateverItsFilterHolds(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	now := time.Now()
	_, err := a.Start(t.Context(), protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{ID: "x", Tenant: a.Name, Type: "t", Entity: "what?", Timestamp: now},
			To:      postdate.Destination{URL: "https://nobody.example"}, DueAt: now.Add(time.Hour),
		},
	}, protocol.Accepted{At: now})
	require.NoError(t, err)
	a.Listed(1, postdate.Filter{Entity: "what?"})
	require.NoError(t, a.StartOperation(t.Context(), a.Name, "swp_1", protocol.SweepInput{
		Action: protocol.SweepCancel, Filter: postdate.Filter{Tenant: a.Name, Entity: "what?"},
	}))
	require.NoError(t, deliverytest.Temporal.GetWorkflow(t.Context(), protocol.SweepID(a.Name, "swp_1"), "").Get(t.Context(), nil))
	a.Becomes("x", postdate.Cancelled)
}
