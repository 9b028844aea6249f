package deliveries_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// imported starts schedules of an import, due in an hour.
func imported(t *testing.T, a *deliverytest.Tenant, name string, ids ...string) time.Time {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	due := now.Add(time.Hour)
	for _, id := range ids {
		_, err := a.Start(t.Context(), protocol.DeliverInput{
			Shipment: protocol.DeliveryTask{
				Message: postdate.Message{ID: id, Tenant: a.Name, Type: "t", Timestamp: due},
				To:      postdate.Destination{URL: "https://nobody.example"}, DueAt: due,
			},
			Terms: protocol.Terms{Import: name, ExpiresAt: due.Add(36 * time.Hour)},
		}, protocol.Accepted{At: now})
		require.NoError(t, err)
	}
	return due
}

func TestImport_IsCountedListedAndCancelledAsOne(t *testing.T) {
	t.Parallel()
	a, b := deliverytest.New(t), deliverytest.New(t)
	imported(t, a, "one", "x", "y", "z")
	imported(t, a, "two", "v")
	imported(t, b, "one", "x")
	counted := func(of *deliverytest.Tenant, name string, want map[postdate.State]int) {
		t.Helper()
		eventually.True(t, func() bool {
			counts, err := of.CountImport(t.Context(), of.Name, name)
			return err == nil && len(counts) == len(want) && counts[postdate.Scheduled] == want[postdate.Scheduled] && counts[postdate.Cancelled] == want[postdate.Cancelled]
		})
	}
	counted(a, "one", map[postdate.State]int{postdate.Scheduled: 3})
	a.Listed(3, postdate.Filter{Import: "one"})
	a.Listed(4, postdate.Filter{})
	_, err := a.CountImport(t.Context(), a.Name, "three")
	require.Equal(t, postdate.NotFound, postdate.CodeOf(err))

	require.NoError(t, a.StartOperation(t.Context(), a.Name, "swp_1", protocol.SweepInput{
		Action: protocol.SweepCancel, Filter: postdate.Filter{Tenant: a.Name, Import: "one"},
	}))
	require.NoError(t, deliverytest.Temporal.GetWorkflow(t.Context(), protocol.SweepID(a.Name, "swp_1"), "").Get(t.Context(), nil))
	counted(a, "one", map[postdate.State]int{postdate.Cancelled: 3})
	counted(a, "two", map[postdate.State]int{postdate.Scheduled: 1})
	counted(b, "one", map[postdate.State]int{postdate.Scheduled: 1})
}

func TestImport_IsPutOffAsOneAndOnce(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	due := imported(t, a, "one", "x", "y")
	imported(t, a, "two", "z")
	a.Listed(2, postdate.Filter{Import: "one"})
	at := func(id string) time.Time {
		t.Helper()
		found, err := a.Get(t.Context(), a.Name, id)
		require.NoError(t, err)
		require.Equal(t, postdate.Scheduled, found.State)
		return found.DueAt
	}
	postpone := func(id string, by time.Duration) protocol.SweepProgress {
		t.Helper()
		var progress protocol.SweepProgress
		require.NoError(t, a.StartOperation(t.Context(), a.Name, id, protocol.SweepInput{
			Action: protocol.SweepPostpone, Filter: postdate.Filter{Tenant: a.Name, Import: "one"}, By: postdate.Duration(by),
		}))
		require.NoError(t, deliverytest.Temporal.GetWorkflow(t.Context(), protocol.SweepID(a.Name, id), "").Get(t.Context(), &progress))
		return progress
	}
	require.Equal(t, protocol.SweepProgress{Found: 2, Done: 2}, postpone("swp_1", 24*time.Hour))
	require.Equal(t, due.Add(24*time.Hour), at("x"))
	require.Equal(t, due.Add(24*time.Hour), at("y"))
	require.True(t, at("z").Before(due.Add(time.Hour)), "of another import")

	// The same operation, repeated after its worker died, moves nothing again.
	require.NoError(t, a.PostponeDelivery(t.Context(), a.Name, "x", "swp_1", time.Now().Add(-time.Hour), 24*time.Hour))
	require.Equal(t, due.Add(24*time.Hour), at("x"))

	eventually.True(t, func() bool { // the new runs are in the list
		summaries, _, err := a.List(t.Context(), postdate.Filter{Tenant: a.Name, Import: "one", State: postdate.Scheduled}, deliveries.Cursor{}, 10)
		return err == nil && len(summaries) == 2
	})
	require.Equal(t, protocol.SweepProgress{Found: 2, Skipped: 2}, postpone("swp_2", 24*time.Hour), "it would expire before")
	require.Equal(t, due.Add(24*time.Hour), at("x"))
}
