package apiserver_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/eventually"
)

// swept waits until a sweep has finished.
func (a *api) swept(id string) apiserver.Operation {
	a.t.Helper()
	var s apiserver.Operation
	eventually.True(a.t, func() bool {
		s = apiserver.Operation{}
		a.do(http.MethodGet, "/v1/operations/"+id, "").is(http.StatusOK).decode(&s)
		return s.State == apiserver.Finished
	})
	return s
}

// json is m as it is.
func (m message) json() string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestRetryDeliveries_OfWhatMatches(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	mended, broken := a.endpoint("*", answering(502, 502, 502, 502, 200)), a.endpoint("*", answering(502))
	theirs := b.endpoint("*", answering(502))
	for _, id := range []string{"x", "y"} {
		a.publish(message{"id": id})
		a.reaches(id+"."+mended, postdate.Dead)
		a.reaches(id+"."+broken, postdate.Dead)
	}
	b.publish(message{"id": "x"})
	b.reaches("x."+theirs, postdate.Dead)
	a.listed(4, "state", "dead")
	b.listed(1, "state", "dead")

	var dry, begun apiserver.Operation
	retry := func(fields message) answer { return a.do(http.MethodPost, "/v1/deliveries/retry", fields.json()) }
	retry(message{"dry_run": true}).is(http.StatusOK).decode(&dry)
	require.Equal(t, apiserver.Operation{State: apiserver.DryRun, Found: 4}, dry)
	retry(message{"dry_run": true, "endpoint": mended, "due_after": time.Now().Add(time.Hour)}).is(http.StatusOK).decode(&dry)
	require.Zero(t, dry.Found)
	require.Len(t, a.list("/v1/deliveries", "state", "dead"), 4, "a dry run retries nothing")

	retry(message{"endpoint": mended}).is(http.StatusAccepted).decode(&begun)
	require.Equal(t, apiserver.Running, begun.State)
	require.Equal(t, apiserver.Operation{ID: begun.ID, State: apiserver.Finished, Found: 2, Done: 2}, a.swept(begun.ID))
	for _, id := range []string{"x", "y"} {
		require.Len(t, a.reaches(id+"."+mended, postdate.Delivered).Attempts, 3)
		require.Len(t, a.reaches(id+"."+broken, postdate.Dead).Attempts, 2)
	}
	require.Len(t, b.reaches("x."+theirs, postdate.Dead).Attempts, 2)
}

// Whatever ids a tenant guesses, it finds nothing of another's, and the answer is no
// more than of what never was.
func TestTenants_SeeAndTouchTheirOwnOnly(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	mine := a.endpoint("*", answering(502))
	b.endpoint("*", answering(200))
	a.publish(message{"id": "evt_1", "entity": "e"})
	grouped := a.publish(message{"entity": "e"})
	a.create(message{"id": "sch_1", "delay": "1h", "entity": "e"})
	named := "evt_1." + mine
	a.reaches(named, postdate.Dead)
	a.reaches(grouped.Deliveries[0].ID, postdate.Dead)
	var sweep apiserver.Operation
	a.do(http.MethodPost, "/v1/deliveries/retry", `{"endpoint":"ep_none"}`).is(http.StatusAccepted).decode(&sweep)
	a.swept(sweep.ID)
	a.listed(3)

	guesses := []struct{ method, path, body string }{
		{http.MethodGet, "/v1/operations/" + sweep.ID, ""},
		{http.MethodGet, "/v1/events/evt_1", ""},
		{http.MethodGet, "/v1/events/" + grouped.ID, ""},
		{http.MethodGet, "/v1/schedules/sch_1", ""},
		{http.MethodPatch, "/v1/schedules/sch_1", dueAt(tomorrow())},
		{http.MethodDelete, "/v1/schedules/sch_1", ""},
		{http.MethodPost, "/v1/schedules/sch_1/fire", ""},
	}
	for _, id := range []string{named, grouped.Deliveries[0].ID, "sch_1"} {
		guesses = append(guesses, []struct{ method, path, body string }{
			{http.MethodGet, "/v1/deliveries/" + id, ""},
			{http.MethodPost, "/v1/deliveries/" + id + "/cancel", ""},
			{http.MethodPost, "/v1/deliveries/" + id + "/retry", ""},
		}...)
	}
	for _, guess := range guesses {
		p := b.do(guess.method, guess.path, guess.body).problem(http.StatusNotFound, postdate.NotFound)
		require.NotContains(t, p.Detail, a.tenant)
		require.NotContains(t, p.Detail, "/", "it names no execution")
	}
	for _, filters := range [][]string{nil, {"entity", "e"}, {"endpoint", mine}, {"state", "dead"}, {"type", "test.happened"}} {
		require.Empty(t, b.list("/v1/deliveries", filters...))
		if len(filters) == 0 || filters[0] != "endpoint" {
			require.Empty(t, b.list("/v1/schedules", filters...))
		}
	}
	var dry apiserver.Operation
	b.do(http.MethodPost, "/v1/deliveries/retry", `{"dry_run":true,"endpoint":"`+mine+`"}`).is(http.StatusOK).decode(&dry)
	require.Zero(t, dry.Found)

	// What is the other's does not stand in one's own way either.
	require.False(t, b.publish(message{"id": "evt_1", "entity": "another"}).Duplicate)
	b.create(message{"id": "sch_1", "delay": "2h"})
	b.do(http.MethodDelete, "/v1/schedules/sch_1", "").is(http.StatusOK)
	require.Equal(t, postdate.Scheduled, a.get("sch_1").State)
	require.Equal(t, postdate.Dead, a.reaches(named, postdate.Dead).State)
	b.do(http.MethodGet, "/v1/operations/"+uuid.NewString(), "").problem(http.StatusNotFound, postdate.NotFound)
}
