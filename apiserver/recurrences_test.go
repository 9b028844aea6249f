package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/eventually"
)

// banking is each month's last banking day at nine in São Paulo.
func banking() message {
	return message{"cron": "0 9 L * *", "time_zone": "America/Sao_Paulo", "except": []string{"br-banks"}, "shift": "previous"}
}

func (a *api) putBanks() {
	a.t.Helper()
	a.do(http.MethodPut, "/v1/calendars/br-banks",
		`{"dates":["2026-12-25",{"date":"2026-12-31","label":"Bank holiday"}],"weekend":["saturday","sunday"]}`).is(http.StatusOK)
}

func (a *api) preview(recurrence any, from string, count int) []postdate.Tick {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"recurrence": recurrence, "from": from, "count": count})
	require.NoError(a.t, err)
	var got apiserver.Preview
	a.do(http.MethodPost, "/v1/schedules/preview", string(body)).is(http.StatusOK).decode(&got)
	return got.Ticks
}

func TestPreview_ShowsWhatIsMovedAndWhy(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.putBanks()
	ticks := a.preview(banking(), "2026-12-01T00:00:00Z", 2)
	require.Len(t, ticks, 2)
	assert.Equal(t, "2026-12-30T12:00:00Z", ticks[0].DueAt.Format(time.RFC3339))
	assert.Equal(t, "2026-12-30T09:00:00", ticks[0].Local.String())
	assert.Equal(t, "-03:00", ticks[0].Offset)
	assert.Equal(t, "moved from 2026-12-31 (Bank holiday), which is excepted", ticks[0].Note)
	assert.Equal(t, 1, ticks[0].Number)
	assert.Equal(t, "2027-01-29T12:00:00Z", ticks[1].DueAt.Format(time.RFC3339), "31 January 2027 is a Sunday")

	shifted := a.preview(message{"cron": "30 2 * * *", "time_zone": "America/New_York"}, "2026-03-08T00:00:00Z", 1)
	assert.Equal(t, "2026-03-08T03:30:00", shifted[0].Local.String())
	assert.Contains(t, shifted[0].Note, "does not exist")
}

func TestRecurring_IsRefusedByTheNameOfTheField(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for pointer, m := range map[string]message{
		"/recurrence/cron":         {"recurrence": message{"cron": "0 0 9 * * *"}},
		"/recurrence/time_zone":    {"recurrence": message{"cron": "0 9 * * *", "time_zone": "America/Atlantis"}},
		"/recurrence/except":       {"recurrence": message{"cron": "0 9 * * *", "except": "unknown-banks"}},
		"/recurrence/end_at":       {"recurrence": message{"cron": "0 9 * * *", "end_at": "2020-01-01T00:00:00Z"}},
		"/recurrence":              {"recurrence": message{}},
		"/recurrence/rrule":        {"recurrence": message{"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}},
		"/recurrence/catch_up":     {"recurrence": message{"cron": "0 9 * * *", "catch_up": "some"}},
		"/recurrence/overlap":      {"recurrence": message{"cron": "0 9 * * *", "overlap": "never"}},
		"/recurrence/dst/gap":      {"recurrence": message{"cron": "0 9 * * *", "dst": message{"gap": "refuse"}}},
		"/due_at":                  {"recurrence": message{"cron": "0 9 * * *"}, "due_at": tomorrow()},
		"/expires_at":              {"recurrence": message{"cron": "0 9 * * *"}, "expires_at": tomorrow()},
		"/time_zone":               {"due_at_local": "2031-03-01T09:00:00"},
		"/due_at_local":            {"due_at_local": "2031-03-09T02:30:00", "time_zone": "America/New_York", "dst": message{"gap": "refuse"}},
		"/dst":                     {"dst": message{"gap": "refuse"}},
		"/dst/overlap":             {"due_at_local": "2031-03-09T02:30:00", "time_zone": "America/New_York", "dst": message{"overlap": "both"}},
		"/recurrence/no_such_rule": {"recurrence": message{"no_such_rule": "x"}},
	} {
		p := a.do(http.MethodPost, "/v1/schedules", m.String()).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.NotEmpty(t, p.Errors, pointer)
		assert.Equal(t, pointer, p.Errors[0].Pointer, p.Detail)
		assert.NotContains(t, p.Detail, "schema", "it says in words what is wrong")
	}
}

func TestRecurring_IsCreatedOnceHoweverOftenItIsAskedFor(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.putBanks()
	body := message{"id": "statements", "recurrence": banking(), "data": message{"n": 1}}.String()
	w := a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated)
	assert.Equal(t, "/v1/schedules/statements", w.Header().Get("Location"))
	made := w.delivery()
	assert.Equal(t, postdate.Scheduled, made.State)
	require.Len(t, made.Ticks.Next, 10)
	assert.Equal(t, made.Ticks.Next[0].DueAt, made.DueAt)
	assert.NotNil(t, made.Recurrence.StartAt)
	assert.Equal(t, made, a.get("statements"))
	assert.Equal(t, made, a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusOK).delivery())

	a.do(http.MethodPost, "/v1/schedules", strings.Replace(body, "0 9 L", "0 8 L", 1)).problem(http.StatusConflict, postdate.Conflict)
	a.do(http.MethodPost, "/v1/schedules", message{"id": "statements", "due_at": tomorrow()}.String()).problem(http.StatusConflict, postdate.Conflict)
	a.create(message{"id": "once", "due_at": tomorrow()})
	a.do(http.MethodPost, "/v1/schedules", message{"id": "once", "recurrence": banking()}.String()).problem(http.StatusConflict, postdate.Conflict)
	a.do(http.MethodPost, "/v1/schedules/once/pause", "{}").problem(http.StatusConflict, postdate.Conflict)
	a.do(http.MethodPatch, "/v1/schedules/once", `{"type":"x"}`).problem(http.StatusConflict, postdate.Conflict)
}

func TestRecurring_SendsTicksThatSayWhichTheyAre(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.create(message{"id": "beat", "to": answering(http.StatusOK), "recurrence": message{"every": "1s", "limit": 2}, "data": message{"n": 1}})
	ended := a.becomes("beat", func(d apiserver.Delivery) bool { return d.State == postdate.RecurrenceEnded })
	require.Len(t, ended.Ticks.Last, 2)
	assert.Empty(t, ended.Ticks.Next)
	assert.Equal(t, 2, ended.Ticks.Passed)
	tick := ended.Ticks.Last[1]
	assert.Equal(t, 1, tick.Number)
	delivered := a.becomes(tick.DeliveryID, func(d apiserver.Delivery) bool { return d.State == postdate.Delivered })
	assert.Equal(t, tick.DueAt, delivered.DueAt)
	assert.Equal(t, delivered, a.do(http.MethodGet, "/v1/deliveries/"+tick.DeliveryID, "").is(http.StatusOK).delivery())
	a.do(http.MethodGet, "/v1/schedules/beat@2000-01-01T00:00:00Z", "").problem(http.StatusNotFound, postdate.NotFound)
	a.do(http.MethodGet, "/v1/schedules/beat@yesterday", "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
}

func TestRecurring_IsPausedResumedSkippedFiredAndChanged(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	far := time.Now().UTC().Add(12 * time.Hour) // at whatever time this runs
	made := a.create(message{"id": "r", "recurrence": message{"cron": fmt.Sprintf("0 %d * * *", far.Hour())}})
	on := func(action, body string) apiserver.Delivery {
		return a.do(http.MethodPost, "/v1/schedules/r/"+action, body).is(http.StatusOK).delivery()
	}
	paused := on("pause", `{"note":"the contract is being renewed"}`)
	assert.Equal(t, postdate.RecurrencePaused, paused.State)
	assert.Equal(t, "the contract is being renewed", paused.Reason)
	assert.Equal(t, paused.Reason, paused.Pause.Note)
	a.do(http.MethodPost, "/v1/schedules/r/pause", `{"until":"2020-01-01T00:00:00Z"}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.recurringListed(1, "state", "paused")
	assert.Equal(t, postdate.Scheduled, on("resume", "").State)
	assert.Equal(t, made.Ticks.Next[1].DueAt, on("skip", "").Ticks.Next[0].DueAt)
	fired := on("fire", "")
	require.NotEmpty(t, fired.Ticks.Last)
	assert.Equal(t, "r@fired-1", fired.Ticks.Last[0].DeliveryID)

	body := fmt.Sprintf(`{"recurrence":{"cron":"10 %d * * *"},"type":"changed"}`, far.Hour())
	patched := a.do(http.MethodPatch, "/v1/schedules/r", body).is(http.StatusOK).delivery()
	assert.Equal(t, "changed", patched.Type)
	assert.Equal(t, 10, patched.Ticks.Next[0].DueAt.Minute())
	assert.Equal(t, made.Recurrence.StartAt, patched.Recurrence.StartAt)
	a.do(http.MethodPatch, "/v1/schedules/r", dueAt(tomorrow())).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.do(http.MethodPatch, "/v1/schedules/r", `{"recurrence":{"cron":"0 9 30 2 *"}}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.do(http.MethodPatch, "/v1/schedules/r", `{"to":{"endpoint":"unknown"}}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.recurringListed(1, "type", "changed", "state", "scheduled")

	for range 2 {
		a.do(http.MethodDelete, "/v1/schedules/r", "").is(http.StatusOK)
	}
	assert.Equal(t, postdate.Cancelled, a.get("r").State)
	a.do(http.MethodPost, "/v1/schedules/r/skip", "").problem(http.StatusConflict, postdate.Conflict)
}

// recurringListed waits until the list of schedules has n rows.
func (a *api) recurringListed(n int, filters ...string) {
	a.t.Helper()
	eventually.True(a.t, func() bool { return len(a.list("/v1/schedules", filters...)) == n }, "%v", filters)
}

func TestRecurring_BackfillsWhatARangeLacks(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	start := time.Now().UTC().Truncate(time.Hour).Add(-5 * time.Hour)
	a.create(message{"id": "b", "recurrence": message{"every": "1h", "start_at": start}})
	var done apiserver.Backfilled
	body, err := json.Marshal(map[string]time.Time{"from": start, "to": start.Add(2 * time.Hour)})
	require.NoError(t, err)
	a.do(http.MethodPost, "/v1/schedules/b/backfill", string(body)).is(http.StatusOK).decode(&done)
	assert.Len(t, done.Started, 3)
	a.do(http.MethodPost, "/v1/schedules/b/backfill", string(body)).is(http.StatusOK).decode(&done)
	assert.Empty(t, done.Started)
	assert.Equal(t, 3, done.Found)
	a.do(http.MethodPost, "/v1/schedules/b/backfill", `{"from":"2030-01-01T00:00:00Z","to":"2031-01-01T00:00:00Z"}`).
		problem(http.StatusUnprocessableEntity, postdate.Invalid)
}

func TestLocalTime_IsDueByTheLawOfItsZone(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	body := message{"id": "l", "due_at_local": "2031-03-01T09:00:00", "time_zone": "America/Sao_Paulo"}.String()
	made := a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated).delivery()
	assert.Equal(t, "2031-03-01T12:00:00Z", made.DueAt.Format(time.RFC3339))
	assert.Equal(t, made.DueAt, made.NextAttemptAt)
	assert.Equal(t, "2031-03-01T09:00:00", made.DueAtLocal)
	assert.Equal(t, "America/Sao_Paulo", made.TimeZone)
	assert.Equal(t, made, a.get("l"))
	assert.Equal(t, made, a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusOK).delivery())

	gap := a.create(message{"due_at_local": "2031-03-09T02:30:00", "time_zone": "America/New_York"})
	assert.Equal(t, "2031-03-09T07:30:00Z", gap.DueAt.Format(time.RFC3339))
	assert.Contains(t, gap.Note, "does not exist")

	moved := a.do(http.MethodPatch, "/v1/schedules/l", dueAt(tomorrow())).is(http.StatusOK).delivery()
	assert.Equal(t, tomorrow().Day(), moved.DueAt.Day())
	assert.Empty(t, moved.DueAtLocal, "an instant does not follow the law")
}

func TestLocalTime_IsSentWhenItIsDue(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	zone, err := time.LoadLocation("Asia/Kathmandu")
	require.NoError(t, err)
	due := time.Now().Truncate(time.Second).Add(2 * time.Second)
	made := a.create(message{"to": answering(http.StatusOK), "due_at_local": due.In(zone).Format("2006-01-02T15:04:05"), "time_zone": zone.String()})
	assert.True(t, due.Equal(made.DueAt), made.DueAt)
	sent := a.ended(made.ID)
	assert.Equal(t, postdate.Delivered, sent.State)
	assert.False(t, sent.Attempts[0].At.Before(due))
}

func TestCalendars_AreKept(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	body := `{"name":"br-banks","dates":["2026-12-25"],"weekend":["sunday"]}`
	w := a.do(http.MethodPost, "/v1/calendars", body).is(http.StatusCreated)
	assert.Equal(t, "/v1/calendars/br-banks", w.Header().Get("Location"))
	a.do(http.MethodPost, "/v1/calendars", body).is(http.StatusOK)
	a.do(http.MethodPost, "/v1/calendars", `{"name":"br-banks","dates":[]}`).problem(http.StatusConflict, postdate.Conflict)
	a.putBanks()
	var got postdate.HolidayCalendar
	a.do(http.MethodGet, "/v1/calendars/br-banks", "").is(http.StatusOK).decode(&got)
	assert.Len(t, got.Dates, 2)
	var all apiserver.CalendarList
	a.do(http.MethodGet, "/v1/calendars", "").is(http.StatusOK).decode(&all)
	assert.Equal(t, []postdate.HolidayCalendar{got}, all.Data)
	a.do(http.MethodPut, "/v1/calendars/1st", `{"dates":[]}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.do(http.MethodPut, "/v1/calendars/x", `{"dates":["2026-02-30"]}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)

	a.do(http.MethodDelete, "/v1/calendars/br-banks", "").is(http.StatusOK)
	a.do(http.MethodGet, "/v1/calendars/br-banks", "").problem(http.StatusNotFound, postdate.NotFound)
	a.do(http.MethodDelete, "/v1/calendars/br-banks", "").problem(http.StatusNotFound, postdate.NotFound)
}
