package client_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
)

func TestRecurringSchedules_AreWrittenAndRead(t *testing.T) {
	t.Parallel()
	const recurrence = `{"cron":"0 9 L * *","time_zone":"America/Sao_Paulo","except":["2026-12-31"],"shift":"previous","overlap":"skip"}`
	const tick = `{"due_at":"2026-12-30T12:00:00Z","local":"2026-12-30T09:00:00","offset":"-03:00","note":"moved from a holiday","number":7}`
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, r.Method+" "+r.URL.Path+" "+string(body))
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v1/schedules/preview" {
			_, _ = io.WriteString(w, `{"ticks":[`+tick+`]}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"rent","state":"paused","recurrence":`+recurrence+`,"pause":{"note":"audit"},
			"ticks":{"next":[`+tick+`],"last":[],"passed":6}}`)
	}))
	t.Cleanup(server.Close)
	api, err := client.New(server.URL, "key")
	require.NoError(t, err)
	var rule client.Recurrence
	require.NoError(t, json.Unmarshal([]byte(recurrence), &rule))
	want := postdate.Tick{Number: 7, Moment: postdate.Moment{
		DueAt: time.Date(2026, time.December, 30, 12, 0, 0, 0, time.UTC), Offset: "-03:00", Note: "moved from a holiday",
	}}
	require.NoError(t, json.Unmarshal([]byte(`"2026-12-30T09:00:00"`), &want.Local))

	preview, err := api.PreviewScheduleWithResponse(t.Context(), client.PreviewSchedule{Recurrence: rule, Count: 1})
	require.NoError(t, err)
	require.Equal(t, []client.Tick{want}, preview.JSON200.Ticks)

	created, err := api.CreateScheduleWithResponse(t.Context(), nil, client.CreateSchedule{
		ID: "rent", Type: "rent.due", Data: json.RawMessage(`{}`), Recurrence: &rule,
	})
	require.NoError(t, err)
	got := created.JSON201
	require.Equal(t, &rule, got.Recurrence)
	require.Equal(t, postdate.State("paused"), got.State)
	require.Equal(t, "audit", got.Pause.Note)
	require.Equal(t, client.Ticks{Next: []client.Tick{want}, Last: []client.PassedTick{}, Passed: 6}, *got.Ticks)

	require.Equal(t, `POST /v1/schedules/preview {"count":1,"recurrence":`+recurrence+`}`, sent[0])
	require.JSONEq(t, recurrence, fieldOf(t, sent[1][len("POST /v1/schedules "):], "recurrence"))
}

// fieldOf is one member of an object, as JSON.
func fieldOf(t *testing.T, object, name string) string {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(object), &members))
	return string(members[name])
}
