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
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

// schedule starts a delivery to a bare url that is due after delay.
func (t *tenant) schedule(id string, delay time.Duration) postdate.Delivery {
	t.t.Helper()
	seen, err := t.due(id, time.Now().Add(delay), time.Time{})
	require.NoError(t.t, err)
	return seen
}

// due starts a delivery to a bare url that is due at that time, and expires.
func (t *tenant) due(id string, at, expires time.Time) (postdate.Delivery, error) {
	now := time.Now()
	return t.Start(t.t.Context(), protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{ID: id, Tenant: t.name, Type: "t", Timestamp: now},
			To:      postdate.Destination{URL: "https://nobody.example"},
			DueAt:   at, Timeout: postdate.Duration(time.Second),
		},
		Retry: postdate.Retry{}.WithDefaults(), Terms: protocol.Terms{ExpiresAt: expires},
	}, protocol.Accepted{At: now})
}

func ids(rows []postdate.DeliverySummary) []string {
	all := make([]string, len(rows))
	for i, row := range rows {
		all[i] = row.ID
	}
	return all
}

func TestList_NewestFirstWhateverEndsMeanwhile(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	endpoint := a.endpoint("*", answering(http.StatusOK))
	var made []string // oldest first
	for i := range 100 {
		a.schedule("s"+strconv.Itoa(i), time.Hour)
		made = append(made, "s"+strconv.Itoa(i))
		if i%2 == 0 {
			made = append(made, a.publish(postdate.Event{ID: "e" + strconv.Itoa(i), Type: "t"})[0].ID+"."+endpoint)
		}
		if i%10 == 0 { // several in one execution, which stand in the order of their ids
			group := a.publish(make([]postdate.Event, 15)...)
			var together []string
			for _, p := range group {
				together = append(together, p.Deliveries[0].ID)
			}
			slices.Sort(together)
			slices.Reverse(together)
			made = append(made, together...)
		}
	}
	newest := slices.Clone(made)
	slices.Reverse(newest)
	require.Equal(t, newest, ids(a.listed(len(made), postdate.Filter{})))

	f := postdate.Filter{Tenant: a.name}
	for _, limit := range []int{1, 7, 50} {
		var got []string
		var after deliveries.Cursor
		for page := 0; ; page++ {
			rows, next, err := a.List(t.Context(), f, after, limit)
			require.NoError(t, err)
			got = append(got, ids(rows)...)
			if next == (deliveries.Cursor{}) {
				break
			}
			after = next
			if id := fmt.Sprintf("s%d", page%100); page < 100 && limit > 1 { // something ends between any two pages
				_ = a.CancelDelivery(t.Context(), a.name, id)
			}
		}
		require.Equal(t, newest, got, "limit %d", limit)
	}
	require.Len(t, a.pages(postdate.Filter{Tenant: a.name, SchedulesOnly: true}, 30), 100)

	found, err := a.Find(t.Context(), postdate.Filter{Tenant: a.name, Endpoint: endpoint})
	require.NoError(t, err)
	require.Len(t, found, 200)
	require.Equal(t, "e0."+endpoint, found[0])
	count, err := a.Count(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, len(made), count)
}

// The cursor is as good where the executions of a group, or of an instant, are
// split between two pages.
func TestList_SplitsAGroup(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	for range 5 {
		a.endpoint("*", answering(http.StatusOK))
	}
	a.publish(make([]postdate.Event, 7)...)
	a.publish(postdate.Event{ID: "x", Type: "wanted", Entity: "e"})
	all := ids(a.listed(40, postdate.Filter{}))
	for _, limit := range []int{1, 3, 39, 40, 41} {
		require.Equal(t, all, ids(a.pages(postdate.Filter{Tenant: a.name}, limit)))
	}
	a.listed(5, postdate.Filter{Type: "wanted"})
	a.listed(5, postdate.Filter{Entity: "e", State: postdate.Delivered})
	require.Empty(t, a.pages(postdate.Filter{Tenant: a.name, Entity: "e", Type: "other"}, 10))
	require.Empty(t, a.pages(postdate.Filter{Tenant: a.name, Endpoint: "ep_none"}, 10))
}

// While a delivery leaves its group it is in two executions.
func TestList_ShowsOnceWhatLeavesItsGroup(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	for range 5 {
		a.endpoint("*", answering(http.StatusBadGateway))
	}
	published := make(chan struct{})
	go func() {
		defer close(published)
		for range 20 {
			_, _ = a.PublishBatch(t.Context(), ingest.Batch{Tenant: a.name, Events: []postdate.Event{{Type: "t"}}})
		}
	}()
	for more := true; more; {
		select {
		case <-published:
			more = false
		default:
		}
		all := ids(a.pages(postdate.Filter{Tenant: a.name}, 7))
		slices.Sort(all)
		require.Len(t, slices.Compact(slices.Clone(all)), len(all))
	}
	a.listed(100, postdate.Filter{State: postdate.Dead})
}

// More than the engine lists at once.
func TestList_OfManyMadeWithinSeconds(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	const many = 1100
	var starting errgroup.Group
	starting.SetLimit(16)
	for i := range many {
		starting.Go(func() error {
			a.schedule("s"+strconv.Itoa(i), time.Hour)
			return nil
		})
	}
	require.NoError(t, starting.Wait())
	f := postdate.Filter{Tenant: a.name}
	eventually.True(t, func() bool {
		n, err := a.Count(t.Context(), f)
		require.NoError(t, err)
		return n == many
	}, 15*time.Second, 100*time.Millisecond)

	rows := a.pages(f, 150)
	require.Len(t, rows, many)
	require.True(t, slices.IsSortedFunc(rows, func(a, b postdate.DeliverySummary) int {
		return int(b.CreatedAt.Sub(a.CreatedAt) / (5 * time.Second))
	}), "the latest first, but for those that were started side by side")
	different := make(map[string]bool)
	for _, row := range rows {
		different[row.ID] = true
	}
	require.Len(t, different, many)
	oldest, err := a.Find(t.Context(), f)
	require.NoError(t, err)
	slices.Reverse(oldest)
	require.Equal(t, ids(rows), oldest)
}
