package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSampled_TakesATenthFromAllOver(t *testing.T) {
	t.Parallel()
	items := newItems(1000, "test", "", time.Time{})
	first, second := sampled(items, 0), sampled(items, 0.5)
	require.Len(t, first, 100)
	require.Equal(t, "test-0", first[0].id)
	require.Equal(t, "test-990", first[99].id)
	require.Equal(t, "test-995", second[99].id)
	for _, m := range second {
		require.False(t, slices.Contains(first, m), "%s is in both", m)
	}
	require.Len(t, sampled(items[:3], 0.5), 1)
	require.Len(t, sampled(make([]*item, 1_000_000), 0.5), mostSampled)
}

// api is a postdate whose API is h.
func api(t *testing.T, h http.HandlerFunc) *postdate {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	return &postdate{apis: []string{address.Host}, http: server.Client()}
}

func TestPutOff_HoldsTheAPIToTheDayThatItAskedFor(t *testing.T) {
	t.Parallel()
	due := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for moved, kept := range map[time.Duration]bool{24 * time.Hour: true, 0: false} {
		p := api(t, func(w http.ResponseWriter, r *http.Request) {
			var asked map[string]string
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.Method != http.MethodPatch ||
				r.URL.Path != "/v1/schedules/x" || asked["due_at"] != "2027-01-02T00:00:00Z" {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			_ = json.NewEncoder(w).Encode(schedule{ID: "x", DueAt: due.Add(moved)})
		})
		m := &item{id: "x", due: due}
		err := p.putOff(t.Context(), m)
		if !kept {
			require.ErrorContains(t, err, "put off to 2027-01-02")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, due.Add(24*time.Hour), m.due)
	}
}
