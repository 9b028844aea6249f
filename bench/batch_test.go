package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBatchesOf_HoldAHundredEach(t *testing.T) {
	t.Parallel()
	batches := batchesOf(newItems(250, "test", "", time.Time{}))
	require.Len(t, batches, 3)
	require.Len(t, batches[2], 50)
	require.Equal(t, "test-100 and 99 more", batches[1].String())
}

func TestPublishBatch_GivesEachItemTheIDThatItsEventGot(t *testing.T) {
	t.Parallel()
	p := api(t, func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Events []map[string]any }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.URL.Path != "/v1/events/batch" || asked.Events[0]["id"] != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"data": [{"id": "evt_1"}, {"id": "evt_2"}]}`)
	})
	items := newItems(2, "test", "", time.Time{})
	require.NoError(t, p.publishBatch(t.Context(), items))
	require.Equal(t, "evt_1", items[0].id)
	require.Equal(t, "evt_2", items[1].id)
	require.False(t, items[1].accepted.Before(items[1].sent))
	require.ErrorContains(t, p.publishBatch(t.Context(), items[:1]), "2 events were answered for 1")
}

func TestPublishBatch_TellsWhichEventWasRefused(t *testing.T) {
	t.Parallel()
	p := api(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"data": [{"id": "evt_1"}, {"error": {"code": "invalid", "detail": "no type"}}]}`)
	})
	require.ErrorContains(t, p.publishBatch(t.Context(), newItems(2, "test", "", time.Time{})), "event 1 was refused: no type")
}
