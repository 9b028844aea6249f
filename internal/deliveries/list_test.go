package deliveries_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

// schedule starts a delivery to a bare url that is due after delay.
func schedule(a *deliverytest.Tenant, id string, delay time.Duration) {
	a.T.Helper()
	_, err := a.Schedule(id, time.Now().Add(delay), time.Time{})
	require.NoError(a.T, err)
}

func TestList_KeepsNewestFirstWhileDeliveriesEnd(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	var accepted []string // oldest first
	for i := range 100 {
		schedule(a, "s"+strconv.Itoa(i), time.Hour)
		accepted = append(accepted, "s"+strconv.Itoa(i))
		if i%2 == 0 {
			accepted = append(accepted, a.PublishAll(postdate.Event{ID: "e" + strconv.Itoa(i), Type: "t"})[0].ID+"."+endpoint)
		}
		if i%10 == 0 { // several in one execution, which stand in the order of their ids
			group := a.PublishAll(make([]postdate.Event, 15)...)
			var together []string
			for _, p := range group {
				together = append(together, p.Deliveries[0].ID)
			}
			slices.Sort(together)
			slices.Reverse(together)
			accepted = append(accepted, together...)
		}
	}
	newest := slices.Clone(accepted)
	slices.Reverse(newest)
	require.Equal(t, newest, deliverytest.IDs(a.Listed(len(accepted), postdate.Filter{})))

	f := postdate.Filter{Tenant: a.Name}
	for _, limit := range []int{1, 7, 50} {
		var got []string
		var after deliveries.Cursor
		for page := 0; ; page++ {
			rows, next, err := a.List(t.Context(), f, after, limit)
			require.NoError(t, err)
			got = append(got, deliverytest.IDs(rows)...)
			if next == (deliveries.Cursor{}) {
				break
			}
			after = next
			if id := fmt.Sprintf("s%d", page%100); page < 100 && limit > 1 { // something ends between any two pages
				_ = a.CancelDelivery(t.Context(), a.Name, id)
			}
		}
		require.Equal(t, newest, got, "limit %d", limit)
	}
	require.Len(t, a.Pages(postdate.Filter{Tenant: a.Name, SchedulesOnly: true}, 30), 100)

	found, err := a.Find(t.Context(), postdate.Filter{Tenant: a.Name, Endpoint: endpoint})
	require.NoError(t, err)
	require.Len(t, found, 200)
	require.Equal(t, protocol.Found{ID: "e0." + endpoint}, found[0])
	count, err := a.Count(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, len(accepted), count)
}

// The deliveries of one group, or of one instant, may be split between two pages.
func TestList_SplitsAGroup(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	for range 5 {
		a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	}
	a.PublishAll(make([]postdate.Event, 7)...)
	a.PublishAll(postdate.Event{ID: "x", Type: "wanted", Entity: "e"})
	newest := deliverytest.IDs(a.Listed(40, postdate.Filter{}))
	for _, limit := range []int{1, 3, 39, 40, 41} {
		require.Equal(t, newest, deliverytest.IDs(a.Pages(postdate.Filter{Tenant: a.Name}, limit)))
	}
	a.Listed(5, postdate.Filter{Type: "wanted"})
	a.Listed(5, postdate.Filter{Entity: "e", State: postdate.Delivered})
	require.Empty(t, a.Pages(postdate.Filter{Tenant: a.Name, Entity: "e", Type: "other"}, 10))
	require.Empty(t, a.Pages(postdate.Filter{Tenant: a.Name, Endpoint: "ep_none"}, 10))
}

// While a delivery leaves its group it is in two executions.
func TestList_ShowsOnceWhatLeavesItsGroup(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	for range 5 {
		a.Endpoint("*", deliverytest.Answering(http.StatusBadGateway))
	}
	published := make(chan struct{})
	go func() {
		defer close(published)
		for range 20 {
			_, _ = a.PublishBatch(t.Context(), ingest.Batch{Tenant: a.Name, Events: []postdate.Event{{Type: "t"}}})
		}
	}()
	for more := true; more; {
		select {
		case <-published:
			more = false
		default:
		}
		ids := deliverytest.IDs(a.Pages(postdate.Filter{Tenant: a.Name}, 7))
		slices.Sort(ids)
		require.Len(t, slices.Compact(slices.Clone(ids)), len(ids))
	}
	a.Listed(100, postdate.Filter{State: postdate.Dead})
}

// They are more than Temporal lists at once.
func TestList_ShowsManyAcceptedWithinSeconds(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	const many = 1100
	var starting errgroup.Group
	starting.SetLimit(16)
	for i := range many {
		starting.Go(func() error {
			schedule(a, "s"+strconv.Itoa(i), time.Hour)
			return nil
		})
	}
	require.NoError(t, starting.Wait())
	f := postdate.Filter{Tenant: a.Name}
	eventually.True(t, func() bool {
		n, err := a.Count(t.Context(), f)
		require.NoError(t, err)
		return n == many
	})

	rows := a.Pages(f, 150)
	require.Len(t, rows, many)
	require.True(t, slices.IsSortedFunc(rows, func(a, b postdate.DeliverySummary) int {
		return int(b.CreatedAt.Sub(a.CreatedAt) / (5 * time.Second))
	}), "the latest first, but for those that were started side by side")
	distinct := make(map[string]bool)
	for _, row := range rows {
		distinct[row.ID] = true
	}
	require.Len(t, distinct, many)
	oldest, err := a.Find(t.Context(), f)
	require.NoError(t, err)
	require.Len(t, oldest, many)
	for n, id := range deliverytest.IDs(rows) {
		require.Equal(t, id, oldest[many-1-n].ID)
	}
}
