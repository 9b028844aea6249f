package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpread_HoldsAMessageToTheTimeThatItWasMovedTo(t *testing.T) {
	t.Parallel()
	due := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for moved, within := range map[time.Duration]bool{
		-time.Millisecond: false, 0: true, 5999 * time.Millisecond: true, 6 * time.Second: false,
	} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var asked map[string]any
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked["spread"] != "6s" || asked["due_at"] != "2027-01-01T00:00:00Z" {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(schedule{ID: "x", DueAt: due.Add(moved)})
		}))
		t.Cleanup(api.Close)
		address, err := url.Parse(api.URL)
		require.NoError(t, err)
		p := &spreading{&postdate{apis: []string{address.Host}, http: api.Client()}, due, 6 * time.Second}
		m := &item{id: "x", due: due}
		err = p.publish(t.Context(), m)
		if !within {
			require.ErrorContains(t, err, "moved to", moved)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, due.Add(moved), m.due)
	}
}
