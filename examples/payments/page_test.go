package payments

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/client"
)

func TestPage_ShowsRequestsSleepersAndNotifications(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for i := range 8 {
		f.create(t, fmt.Sprint("pr_", i), time.Hour)
	}
	_, err := f.a.Pay(t.Context(), "pr_7")
	require.NoError(t, err)
	require.NoError(t, CreateNotifications(t.Context(), f.db))
	_, err = f.db.ExecContext(t.Context(), `INSERT INTO notifications VALUES ('john', 'pr_7', 'payment_request.paid', 'pr_7-paid', 1)`)
	require.NoError(t, err)

	var away atomic.Bool
	postdate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("state") == "scheduled" {
			fmt.Fprint(w, `{"data":[{"id":"pr_0-expiry","state":"scheduled","due_at":"2027-01-01T09:00:00Z"}],"has_more":false}`)
			return
		}
		fmt.Fprint(w, `{"data":[],"has_more":false}`)
	}))
	t.Cleanup(postdate.Close)
	api, err := client.New(postdate.URL, "key")
	require.NoError(t, err)
	page := httptest.NewServer((&Page{DB: f.db, Subscribers: f.db, API: api, Every: 10 * time.Millisecond}).Handler())
	t.Cleanup(page.Close)

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page.URL+"/live", http.NoBody)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	events := bufio.NewScanner(answer.Body)
	events.Buffer(nil, 1<<20)
	require.True(t, events.Scan())
	var shown view
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(events.Text(), "data: ")), &shown))
	require.Equal(t, map[State]int{Pending: 7, Paid: 1, Expired: 0}, shown.States)
	require.Len(t, shown.Requests, 7, "six that are pending, and one that was paid")
	require.Equal(t, Paid, shown.Requests[6].State)
	require.Equal(t, "pr_0-expiry", shown.Sleeping[0].ID)
	require.Equal(t, 1, shown.Subscribers["john"].Count)
	require.Equal(t, "pr_7", shown.Subscribers["john"].Latest[0].Request)

	away.Store(true)
	for events.Scan() && events.Text() != "event: trouble" {
	}
	require.Equal(t, "event: trouble", events.Text())
}

func TestPage_LoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	(&Page{}).Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	require.Equal(t, http.StatusOK, answer.Code)
	require.Contains(t, answer.Header().Get("Content-Security-Policy"), "default-src 'none'")
	require.NotContains(t, answer.Body.String(), "https://")
	require.NotContains(t, answer.Body.String(), "innerHTML")
}
