package apiserver_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

func ids(rows []apiserver.DeliverySummary) []string {
	all := make([]string, len(rows))
	for i, row := range rows {
		all[i] = row.ID
	}
	return all
}

func TestList_ShowsEachStateAndFindsItByIt(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	due := tomorrow()
	finish := make(chan struct{})
	held := receiver(func(context.Context, postdate.Message) (postdate.Attempt, error) {
		<-finish
		return attempt(http.StatusOK), nil
	})
	made := map[postdate.State]delivery{
		postdate.Scheduled: a.create(message{"due_at": due, "entity": "e", "type": "t"}),
		postdate.Sending:   a.create(message{"to": held}),
		postdate.Retrying:  a.create(message{"to": answering(500), "retry": message{"schedule": []string{"1h"}}}),
		postdate.Delivered: a.create(message{"to": answering(200)}),
		postdate.Dead:      a.create(message{"to": answering(500), "retry": message{"max_attempts": 1}}),
		postdate.Cancelled: a.create(message{"delay": "1h"}),
		postdate.Expired:   a.create(message{"to": answering(500), "expires_at": time.Now().Add(time.Second), "retry": message{"schedule": []string{"1h"}}}),
	}
	gone := a.create(message{"to": answering(http.StatusGone)}) // dead at its first attempt
	a.do(http.MethodDelete, "/v1/schedules/"+made[postdate.Cancelled].ID, "").is(http.StatusOK)
	a.becomes(made[postdate.Retrying].ID, isRetrying)
	for _, state := range []postdate.State{postdate.Delivered, postdate.Dead, postdate.Expired} {
		require.Equal(t, state, a.ended(made[state].ID).State)
	}
	a.ended(gone.ID)
	a.listed(1, "state", "retrying")
	a.listed(1, "state", "expired")
	a.listed(2, "state", "dead")
	a.listed(8)
	for state, d := range made {
		rows := a.list("/v1/schedules", "state", string(state))
		require.Contains(t, ids(rows), d.ID, state)
		for _, row := range rows {
			require.Equal(t, state, row.State)
			require.Equal(t, state.Final(), !row.EndedAt.IsZero())
		}
	}
	close(finish)

	row := a.list("/v1/deliveries", "state", "scheduled")[0]
	shown := made[postdate.Scheduled]
	require.Equal(t, apiserver.DeliverySummary{
		ID: shown.ID, State: postdate.Scheduled, Entity: "e", Type: "t", To: shown.To, DueAt: due,
		CreatedAt: shown.CreatedAt, Link: shown.Link,
	}, row)
}

func TestList_ByDueTime(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	due := tomorrow()
	early := a.create(message{"due_at": due})
	late := a.create(message{"due_at": due.Add(time.Hour)})
	a.listed(2)
	at := func(t time.Time) string { return t.Format(time.RFC3339Nano) }
	require.Equal(t, []string{early.ID}, ids(a.listed(1, "due_before", at(due.Add(time.Minute)))))
	require.Equal(t, []string{late.ID}, ids(a.listed(1, "due_after", at(due.Add(time.Minute)))))
	require.Empty(t, a.list("/v1/deliveries", "due_after", at(due.Add(time.Minute)), "due_before", at(due.Add(2*time.Minute))))
	require.Len(t, a.list("/v1/deliveries", "due_after", at(due), "due_before", due.Add(2*time.Hour).In(time.FixedZone("", 3600)).Format(time.RFC3339)), 2)
}

// A list shows and filters by the time that was given, whatever became of it since.
func TestList_ShowsTheDueTimeThatWasGiven(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	due := tomorrow().Add(123456789 * time.Nanosecond)
	endpoint := a.endpoint("t", answering(http.StatusInternalServerError))
	a.create(message{"id": "given", "due_at": due})
	a.create(message{"id": "delayed", "delay": "1h"})
	a.create(message{"id": "spread", "due_at": due, "spread": "10m"})
	a.create(message{"id": "furthest", "due_at": time.Now().AddDate(100, 0, 0).Add(-time.Minute)})
	a.create(message{"id": "moved", "delay": "2h"})
	a.do(http.MethodPatch, "/v1/schedules/moved", dueAt(due.Add(time.Hour))).is(http.StatusOK)
	a.create(message{"id": "snoozed", "delay": "1h"})
	a.do(http.MethodPatch, "/v1/schedules/snoozed", dueAt(time.Now().Add(time.Hour))).is(http.StatusOK)
	a.create(message{"id": "sent", "to": answering(200)})
	a.ended("sent")
	a.create(message{"id": "retried", "to": answering(500, 200), "retry": message{"max_attempts": 1}})
	a.ended("retried")
	a.do(http.MethodPost, "/v1/deliveries/retry", `{"entity":"none"}`).is(http.StatusAccepted)
	a.do(http.MethodPost, "/v1/deliveries/retried/retry", "").is(http.StatusOK)
	a.ended("retried")
	a.create(message{"id": "cancelled", "due_at": due})
	a.do(http.MethodDelete, "/v1/schedules/cancelled", "").is(http.StatusOK)
	a.publish(message{"id": "event", "type": "t"})
	a.reaches("event."+endpoint, postdate.Retrying)
	a.listed(10)

	for _, row := range a.list("/v1/deliveries") {
		var d apiserver.Delivery
		a.do(http.MethodGet, "/v1/deliveries/"+row.ID, "").is(http.StatusOK).decode(&d)
		require.Equal(t, d.DueAt, row.DueAt, row.ID)
		at := func(t time.Time) string { return t.Format(time.RFC3339Nano) }
		for filter, found := range map[[2]string]bool{
			{"due_before", at(d.DueAt)}:                      false,
			{"due_before", at(d.DueAt.Add(time.Nanosecond))}: true,
			{"due_after", at(d.DueAt)}:                       true,
			{"due_after", at(d.DueAt.Add(time.Nanosecond))}:  false,
		} {
			require.Equal(t, found, slices.Contains(ids(a.list("/v1/deliveries", filter[0], filter[1])), row.ID), "%s %v", row.ID, filter)
		}
	}
}

func TestList_PagesNeitherRepeatNorSkip(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	want := make(map[string]bool)
	for i := range 25 {
		d := a.create(message{"delay": "1h", "entity": "e"})
		if i%3 == 0 {
			a.do(http.MethodDelete, "/v1/schedules/"+d.ID, "").is(http.StatusOK)
		}
		want[d.ID] = true
	}
	a.create(message{"delay": "1h", "entity": "another"})
	a.listed(9, "state", "cancelled")
	a.listed(26)
	for _, limit := range []string{"1", "7", "25", "200", ""} {
		filters := []string{"entity", "e"}
		if limit != "" {
			filters = append(filters, "limit", limit)
		}
		rows := a.list("/v1/schedules", filters...)
		got := make(map[string]bool)
		for _, row := range rows {
			got[row.ID] = true
		}
		require.Equal(t, want, got, "limit %s", limit)
		require.Len(t, rows, 25)
	}
}

// Filters hold exactly, whatever is in them, and never reach another tenant's.
func TestList_FiltersAreNoQueries(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	names := []string{
		"customer", "CUSTOMER", "customer_42", "custom", "cust%", `it's`, `''`, `'`, `"`, `a"b`, `"a" OR "b"`, `\`, `a\`, `\'`, `\\`,
		`x' OR Tenant != 'x`, `x') OR (Tenant != 'x`, `x" OR "customer`, `x' --`, `x; DROP TABLE executions_visibility`,
		"♡", "a♡b", "a", "b", "ä", "Ä", "日本", "a b", " ", "{", "}", "NULL", "null", "1", "true", "?", "$1", "`",
	}
	for _, name := range names {
		a.create(message{"delay": "1h", "entity": name, "type": name})
		b.create(message{"delay": "1h", "entity": name, "type": name})
	}
	a.listed(len(names))
	b.listed(len(names))
	for _, name := range names {
		for _, filter := range []string{"entity", "type"} {
			rows := a.list("/v1/deliveries", filter, name)
			require.Len(t, rows, 1, "%s %q", filter, name)
			require.Equal(t, name, rows[0].Entity)
			require.Equal(t, name, rows[0].Type)
			require.Equal(t, name, a.get(rows[0].ID).Entity)
		}
	}
}

func TestList_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for query, pointer := range map[string]string{
		"state=asleep":         "/state",
		"state=":               "/state",
		"stat=dead":            "/stat",
		"limit=0":              "/limit",
		"limit=201":            "/limit",
		"limit=many":           "/limit",
		"due_before=yesterday": "/due_before",
		"due_after=2027-01-01": "/due_after",
		"entity=":              "/entity",
		"cursor=x":             "/cursor",
		"cursor=%21":           "/cursor",
	} {
		for _, path := range []string{"/v1/schedules", "/v1/deliveries"} {
			p := a.do(http.MethodGet, path+"?"+query, "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
			require.Len(t, p.Errors, 1, query)
			require.Equal(t, pointer, p.Errors[0].Pointer, query)
		}
	}
	a.do(http.MethodGet, "/v1/schedules?state=dead&state=expired", "").problem(http.StatusBadRequest, "malformed")
}

func TestList_ACursorIsOneListsOnly(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	for range 3 {
		a.create(message{"delay": "1h", "entity": "e"})
	}
	a.listed(3)
	var page apiserver.DeliveryList
	a.do(http.MethodGet, "/v1/deliveries?limit=1&entity=e", "").is(http.StatusOK).decode(&page)
	cursor := url.QueryEscape(page.NextCursor)
	a.do(http.MethodGet, "/v1/deliveries?limit=2&entity=e&cursor="+cursor, "").is(http.StatusOK)

	for _, query := range []string{"entity=f", "entity=e&state=dead", "entity=e&type=t", "entity=e&due_before=2027-01-01T00:00:00Z", "entity=e&endpoint=ep_1", ""} {
		p := a.do(http.MethodGet, "/v1/deliveries?cursor="+cursor+"&"+query, "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, "/cursor", p.Errors[0].Pointer)
	}
	a.do(http.MethodGet, "/v1/schedules?entity=e&cursor="+cursor, "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
	b.do(http.MethodGet, "/v1/deliveries?entity=e&cursor="+cursor, "").problem(http.StatusUnprocessableEntity, postdate.Invalid)

	sealed, err := base64.RawURLEncoding.DecodeString(page.NextCursor)
	require.NoError(t, err)
	for _, token := range []string{"x", `{"CloseTime":1}`, fmt.Sprintf(`{"StartTime":%q}`, uuid.NewString()), "{}", "null"} {
		forged := base64.RawURLEncoding.EncodeToString(append(sealed[:16:16], token...))
		a.do(http.MethodGet, "/v1/deliveries?entity=e&cursor="+forged, "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
	}
}
