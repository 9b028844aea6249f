package apiserver_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

func TestCreate_AcceptsAMessageForLater(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	due := tomorrow()
	w := a.do(http.MethodPost, "/v1/schedules", message{
		"id": "pr_123:expiry", "entity": "customer_42", "type": "payment_request.due", "data": map[string]any{"n": 1},
		"due_at": due, "expires_at": due.Add(time.Hour), "timeout": "PT20S", "retry": message{"schedule": []string{"5s"}},
	}.String()).is(http.StatusCreated)
	require.Equal(t, "/v1/schedules/pr_123:expiry", w.Header().Get("Location"))

	made := w.delivery()
	require.Equal(t, postdate.Scheduled, made.State)
	require.Equal(t, due, made.DueAt)
	require.Equal(t, due, made.NextAttemptAt)
	require.Equal(t, "20s", made.Timeout.String())
	require.Equal(t, "sleeps until it is due", made.Reason)
	require.JSONEq(t, `{"n":1}`, string(made.Data))
	require.Equal(t, made, a.get("pr_123:expiry"), "a get answers what the create answered")
	require.Equal(t, made, a.do(http.MethodGet, "/v1/deliveries/pr_123:expiry", "").is(http.StatusOK).delivery())
}

func TestCreate_SpreadMovesTheDueTime(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	due := tomorrow()
	moments := make(map[time.Time]bool)
	for i := range 5 {
		body := message{"id": fmt.Sprintf("settlement_%d", i), "due_at": due, "spread": "10m"}.String()
		made := a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated).delivery()
		require.Equal(t, postdate.Scheduled, made.State)
		require.False(t, made.DueAt.Before(due), made.DueAt)
		require.True(t, made.DueAt.Before(due.Add(10*time.Minute)), made.DueAt)
		require.Equal(t, made.DueAt, made.NextAttemptAt)
		require.Equal(t, made.DueAt, a.get(made.ID).DueAt)
		require.Equal(t, made, a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusOK).delivery(), "asked again, it answers alike")
		a.do(http.MethodPost, "/v1/schedules", strings.Replace(body, "10m", "11m", 1)).problem(http.StatusConflict, postdate.Conflict)
		moments[made.DueAt] = true
	}
	require.Len(t, moments, 5)
}

func TestCreate_SpreadCountsFromTheDelayAndFromNow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fields message
		from   time.Duration
	}{
		"a delay": {message{"delay": "2h"}, 2 * time.Hour},
		"no time": {message{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			a := newAPI(t, func(c *apiserver.Config) { c.Now = func() time.Time { return now } })
			test.fields["spread"] = "PT24H"
			for range 3 {
				made := a.create(test.fields)
				require.False(t, made.DueAt.Before(now.Add(test.from)), made.DueAt)
				require.True(t, made.DueAt.Before(now.Add(test.from+24*time.Hour)), made.DueAt)
				require.NotEqual(t, now.Add(test.from), made.DueAt)
				delete(test.fields, "id")
			}
		})
	}
}

func TestCreate_SpreadIsOfTheTenantAndTheIDThatAnIdempotencyKeyMakes(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	body := message{"due_at": tomorrow(), "spread": "24h"}.String()
	first := a.do(http.MethodPost, "/v1/schedules", body, "Idempotency-Key", "k").is(http.StatusCreated).delivery()
	require.Equal(t, first, a.do(http.MethodPost, "/v1/schedules", body, "Idempotency-Key", "k").is(http.StatusOK).delivery())
	other := a.do(http.MethodPost, "/v1/schedules", body, "Idempotency-Key", "l").is(http.StatusCreated).delivery()
	require.NotEqual(t, first.DueAt, other.DueAt)

	named := message{"id": "x", "due_at": tomorrow(), "spread": "24h"}
	require.NotEqual(t, a.create(named).DueAt, b.create(named).DueAt, "tenants whose ids are alike do not come together")
}

func TestCreate_SpreadThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, spread := range []any{"-1s", "25h", "P1M", "soon", 600, nil} {
		p := a.do(http.MethodPost, "/v1/schedules", message{"delay": "1h", "spread": spread}.String()).
			problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, "/spread", p.Errors[0].Pointer, spread)
	}
	due := tomorrow()
	p := a.do(http.MethodPost, "/v1/schedules", message{
		"id": "x", "due_at": due, "spread": "24h", "expires_at": due.Add(time.Millisecond),
	}.String()).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	require.Equal(t, "/expires_at", p.Errors[0].Pointer, "it must come after the time that it is moved to")
}

func TestChange_IsNotSpreadAgain(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	due := tomorrow()
	made := a.create(message{"delay": "1h", "spread": "10m"})
	changed := a.do(http.MethodPatch, "/v1/schedules/"+made.ID, dueAt(due)).is(http.StatusOK).delivery()
	require.Equal(t, due, changed.DueAt)
}

func TestCreate_DeliversAtOnceWhatIsDue(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]message{
		"no time": {}, "a time that has passed": {"due_at": "2001-02-03T04:05:06+01:00"}, "no delay": {"delay": "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			got := make(chan postdate.Message, 1)
			fields["to"] = receiver(func(_ context.Context, m postdate.Message) (postdate.Attempt, error) {
				got <- m
				return attempt(http.StatusNoContent), nil
			})
			fields["data"] = []any{"ä", 1.50}
			made := a.create(fields)
			m := <-got
			require.Equal(t, made.ID, m.ID)
			require.Equal(t, a.tenant, m.Tenant)
			require.Equal(t, made.DueAt, m.Timestamp)
			require.WithinDuration(t, time.Now(), made.DueAt, time.Minute, "due means now")
			require.JSONEq(t, `["ä",1.5]`, string(m.Data))

			d := a.ended(made.ID)
			require.Equal(t, postdate.Delivered, d.State)
			require.Len(t, d.Attempts, 1)
			require.Equal(t, http.StatusNoContent, d.Attempts[0].Status)
		})
	}
}

func TestCreate_HandsWhatIsDueToAWorkerOfThisProcess(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		start, eager bool
		delay        string
	}{
		"due":             {start: true, delay: "0s", eager: true},
		"later":           {start: true, delay: "1h"},
		"no workers here": {start: false, delay: "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, func(c *apiserver.Config) {
				if !test.start {
					patient := executions.New(executions.Config{Temporal: temporal, DataConverter: encoded, Namespace: namespace})
					c.Ingester = ingest.New(ingest.Config{Temporal: temporal, Executions: patient, Tenants: configured, Log: enginetest.Quiet})
				}
			})
			made := a.create(message{"to": answering(http.StatusOK), "delay": test.delay})
			events := temporal.GetWorkflowHistory(t.Context(), protocol.ScheduleID(a.tenant, made.ID), "", false, 0)
			started, err := events.Next()
			require.NoError(t, err)
			require.Equal(t, test.eager, started.GetWorkflowExecutionStartedEventAttributes().GetEagerExecutionAccepted())
		})
	}
}

func TestCreate_KeepsDataAsItIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const kept = `{"z":1.50,"a":12345678901234567890,"ä":null,"nested":{"y":[1e2,"<b>"],"x":1}}`
	for id, data := range map[string]string{"object": kept, "null": "null", "false": "false", "number": "1.0", "text": `"x"`} {
		body := `{"id":"` + id + `","type":"t","to":{"url":"https://b.example"},"delay":"1h","data": ` + data + ` }`
		made := a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated).delivery()
		shown := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(made.Data))
		require.Equal(t, data, shown)
	}
}

func TestCreate_MakesAnID(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	body := message{"delay": "1h"}.String()
	first := a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated).delivery()
	second := a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated).delivery()
	require.Regexp(t, "^sch_[0-9a-f]{32}$", first.ID)
	require.Less(t, first.ID, second.ID, "ids are in order of time")
}

func TestCreate_CarriesTheTraceOfTheRequest(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	got := make(chan string, 1)
	to := receiver(func(_ context.Context, m postdate.Message) (postdate.Attempt, error) {
		got <- m.TraceParent
		return attempt(http.StatusOK), nil
	})
	a.do(http.MethodPost, "/v1/schedules", message{"to": to}.String(), "traceparent", trace).is(http.StatusCreated)
	require.Equal(t, trace, <-got)
}

func TestCreate_Repeated(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const first = `{"id":"x","type":"t","to":{"url":"https://b.example/h"},"data":{"a":1,"b":[1,2]},"due_at":"2090-01-01T09:00:00Z","timeout":"20s"}`
	made := a.do(http.MethodPost, "/v1/schedules", first).is(http.StatusCreated).delivery()
	for name, body := range map[string]string{
		"as it was":       first,
		"other spaces":    strings.ReplaceAll(first, ":", " : \n"),
		"other order":     `{"timeout":"20s","data":{"b":[1,2],"a":1},"to":{"url":"https://b.example/h"},"due_at":"2090-01-01T09:00:00Z","type":"t","id":"x"}`,
		"another zone":    strings.Replace(first, "09:00:00Z", "10:00:00+01:00", 1),
		"other durations": strings.Replace(first, "20s", "PT20S", 1),
	} {
		if name == "other spaces" { // but in the values
			body = strings.NewReplacer("https : \n", "https:", "09 : \n00 : \n00Z", "09:00:00Z").Replace(body)
		}
		again := a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusOK)
		require.Equal(t, made, again.delivery(), name)
	}
	for name, body := range map[string]string{
		"other data":         strings.Replace(first, `"a":1`, `"a":2`, 1),
		"another number":     strings.Replace(first, `"a":1`, `"a":1.0`, 1),
		"other order within": strings.Replace(first, "[1,2]", "[2,1]", 1),
		"no data":            strings.Replace(first, `"data":{"a":1,"b":[1,2]},`, "", 1),
		"another time":       strings.Replace(first, "09:00:00Z", "09:00:01Z", 1),
		"another type":       strings.Replace(first, `"t"`, `"u"`, 1),
	} {
		p := a.do(http.MethodPost, "/v1/schedules", body).problem(http.StatusConflict, postdate.Conflict)
		require.Contains(t, p.Detail, "another body", name)
	}
}

func TestCreate_RepeatedFindsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	body := message{"id": "x", "to": answering(http.StatusOK), "delay": "1h"}.String()
	a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated)
	due := tomorrow()
	a.do(http.MethodPatch, "/v1/schedules/x", dueAt(due)).is(http.StatusOK)
	require.Equal(t, due, a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusOK).delivery().DueAt)
	a.do(http.MethodPost, "/v1/schedules/x/fire", "").is(http.StatusOK)
	a.ended("x")
	require.Equal(t, postdate.Delivered, a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusOK).delivery().State)
}

func TestCreate_IdempotencyKey(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	body := message{"delay": "1h"}.String()
	first := a.do(http.MethodPost, "/v1/schedules", body, "Idempotency-Key", "k").is(http.StatusCreated).delivery()
	require.Equal(t, first, a.do(http.MethodPost, "/v1/schedules", body, "Idempotency-Key", "k").is(http.StatusOK).delivery())
	a.do(http.MethodPost, "/v1/schedules", message{"delay": "2h"}.String(), "Idempotency-Key", "k").
		problem(http.StatusConflict, postdate.Conflict)

	other := a.do(http.MethodPost, "/v1/schedules", body, "Idempotency-Key", "K").is(http.StatusCreated).delivery()
	require.NotEqual(t, first.ID, other.ID)
	theirs := b.do(http.MethodPost, "/v1/schedules", body, "Idempotency-Key", "k").is(http.StatusCreated).delivery()
	require.NotEqual(t, first.ID, theirs.ID, "a key is one tenant's")

	named := message{"id": "mine", "delay": "1h"}.String()
	require.Equal(t, "mine", a.do(http.MethodPost, "/v1/schedules", named, "Idempotency-Key", "k").is(http.StatusCreated).delivery().ID)
	a.do(http.MethodPost, "/v1/schedules", body, "Idempotency-Key", strings.Repeat("k", 256)).
		problem(http.StatusUnprocessableEntity, postdate.Invalid)
}

func TestCreate_OnceHoweverManyAskAtOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	body := message{"id": "x", "to": answering(http.StatusOK)}.String()
	codes := make(chan int)
	for range 20 {
		go func() { codes <- a.do(http.MethodPost, "/v1/schedules", body).Code }()
	}
	made := 0
	for range 20 {
		switch code := <-codes; code {
		case http.StatusCreated:
			made++
		default:
			require.Equal(t, http.StatusOK, code)
		}
	}
	require.Equal(t, 1, made)
	require.Len(t, a.ended("x").Attempts, 1)
}

func TestChange_MovesTheDueTime(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, a *api, create creator) {
		t.Helper()
		due := tomorrow().Add(time.Hour)
		made := create(message{"to": answering(http.StatusOK), "due_at": tomorrow()})
		later := a.do(http.MethodPatch, "/v1/schedules/"+made.ID, dueAt(due)).is(http.StatusOK).delivery()
		require.Equal(t, postdate.Scheduled, later.State)
		require.Equal(t, due, later.DueAt)
		require.Equal(t, made.CreatedAt, later.CreatedAt)
		require.NotEqual(t, made.Link, later.Link, "it is another run")

		a.do(http.MethodPatch, "/v1/schedules/"+made.ID, dueAt("2001-01-01T00:00:00Z")).is(http.StatusOK)
		require.Equal(t, postdate.Delivered, a.ended(made.ID).State, "a time that has passed means now")
	})
}

func TestChange_ReplacesTheData(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, a *api, create creator) {
		t.Helper()
		got := make(chan string, 1)
		to := receiver(func(_ context.Context, m postdate.Message) (postdate.Attempt, error) {
			got <- string(m.Data)
			return attempt(http.StatusOK), nil
		})
		made := create(message{"to": to, "due_at": tomorrow(), "data": 1})
		changed := a.do(http.MethodPatch, "/v1/schedules/"+made.ID, `{"data": [ 2 ]}`).is(http.StatusOK).delivery()
		require.Equal(t, made.DueAt, changed.DueAt)
		require.Equal(t, `[2]`, string(changed.Data))
		require.Equal(t, postdate.Scheduled, changed.State)
		a.do(http.MethodPost, "/v1/schedules/"+made.ID+"/fire", "").is(http.StatusOK)
		require.Equal(t, "[2]", <-got)
	})
}

func TestChange_IsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	soon := time.Now().Add(2 * time.Hour)
	made := a.create(message{"delay": "1h", "expires_at": soon})
	path := "/v1/schedules/" + made.ID
	a.do(http.MethodPatch, path, `{}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.do(http.MethodPatch, path, `{"due_at":null}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.do(http.MethodPatch, path, dueAt(time.Now().AddDate(101, 0, 0))).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	p := a.do(http.MethodPatch, path, dueAt(soon)).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	require.Equal(t, "/expires_at", p.Errors[0].Pointer)
	require.Equal(t, postdate.Scheduled, a.get(made.ID).State, "what was refused changes nothing")

	tried := a.create(message{"to": answering(http.StatusInternalServerError), "retry": message{"schedule": []string{"1h"}}})
	a.becomes(tried.ID, isRetrying)
	p = a.do(http.MethodPatch, "/v1/schedules/"+tried.ID, `{"data":2}`).problem(http.StatusConflict, postdate.Conflict)
	require.Equal(t, "/data", p.Errors[0].Pointer)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, a *api, create creator) {
		t.Helper()
		for _, cancel := range []struct{ method, path string }{
			{http.MethodDelete, "/v1/schedules/%s"}, {http.MethodPost, "/v1/deliveries/%s/cancel"},
		} {
			made := create(message{"due_at": tomorrow()})
			path := strings.Replace(cancel.path, "%s", made.ID, 1)
			for range 2 {
				require.JSONEq(t, `{"state":"cancelled"}`, a.do(cancel.method, path, "").is(http.StatusOK).Body.String())
			}
			d := a.get(made.ID)
			require.Equal(t, postdate.Cancelled, d.State)
			require.False(t, d.EndedAt.IsZero())
			require.True(t, d.NextAttemptAt.IsZero())
		}
	})
}

func TestCancel_BetweenAttemptsKeepsThem(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.create(message{"to": answering(http.StatusBadGateway), "retry": message{"schedule": []string{"0s", "1h"}, "jitter": 0}})
	a.becomes(made.ID, func(d delivery) bool { return isRetrying(d) && len(d.Attempts) == 2 })
	a.do(http.MethodDelete, "/v1/schedules/"+made.ID, "").is(http.StatusOK)
	require.Len(t, a.get(made.ID).Attempts, 2)
}

func TestCancel_WaitsForAnAttemptUnderWay(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	to := receiver(func(context.Context, postdate.Message) (postdate.Attempt, error) {
		close(begun)
		<-finish
		return attempt(http.StatusOK), nil
	})
	made := a.create(message{"to": to})
	<-begun
	answered := make(chan answer)
	go func() { answered <- a.do(http.MethodDelete, "/v1/schedules/"+made.ID, "") }()
	close(finish)
	p := (<-answered).problem(http.StatusConflict, postdate.Conflict)
	require.Contains(t, p.Detail, "already delivered")
}

func TestFire(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, a *api, create creator) {
		t.Helper()
		made := create(message{"to": answering(http.StatusServiceUnavailable, http.StatusOK), "due_at": tomorrow(), "retry": message{"schedule": []string{"1h"}}})
		fired := a.do(http.MethodPost, "/v1/schedules/"+made.ID+"/fire", "").is(http.StatusOK).delivery()
		require.NotEqual(t, postdate.Scheduled, fired.State)
		a.becomes(made.ID, isRetrying)
		a.do(http.MethodPost, "/v1/schedules/"+made.ID+"/fire", "").is(http.StatusOK)
		d := a.ended(made.ID)
		require.Equal(t, postdate.Delivered, d.State)
		require.Len(t, d.Attempts, 2)
		require.Equal(t, made.DueAt, d.DueAt, "when it was due is not changed")
	})
}

func TestUpdates_OfWhatHasEndedOrNeverWas(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, a *api, create creator) {
		t.Helper()
		made := create(message{"to": answering(http.StatusOK)})
		a.ended(made.ID)
		for _, call := range []struct{ method, path, body string }{
			{http.MethodPatch, "/v1/schedules/%s", dueAt(tomorrow())},
			{http.MethodDelete, "/v1/schedules/%s", ""},
			{http.MethodPost, "/v1/schedules/%s/fire", ""},
			{http.MethodPost, "/v1/deliveries/%s/cancel", ""},
		} {
			p := a.do(call.method, strings.Replace(call.path, "%s", made.ID, 1), call.body).problem(http.StatusConflict, postdate.Conflict)
			require.Equal(t, "already delivered", p.Detail)
			a.do(call.method, strings.Replace(call.path, "%s", uuid.NewString(), 1), call.body).problem(http.StatusNotFound, postdate.NotFound)
			a.do(call.method, strings.Replace(call.path, "%s", "a%20b", 1), call.body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		}
	})
}

func TestCreateSchedule_RepeatedAnswersAlikeAlsoAfterItsTime(t *testing.T) {
	t.Parallel()
	clock := &atomic.Int64{}
	a := newAPI(t, func(c *apiserver.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(clock.Load())) }
	})
	body := fmt.Sprintf(`{"id":"x","type":"t","to":{"url":%q},"expires_at":%q}`,
		answering(200), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated)
	clock.Store(int64(2 * time.Hour))
	a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusOK)
	a.do(http.MethodPost, "/v1/schedules", strings.Replace(body, `"x"`, `"y"`, 1)).problem(http.StatusUnprocessableEntity, postdate.Invalid)
}

func TestLists_RefuseWhatNoDeliveryHas(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, query := range []string{"type=%00", "entity=%ff", "endpoint=%ff%fe"} {
		a.do(http.MethodGet, "/v1/deliveries?"+query, "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
	}
	a.do(http.MethodPost, "/v1/deliveries/retry", `{"type":"\u0000"}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.do(http.MethodPost, "/v1/schedules", `{"id":"evt_00000000000000000000000000000000_0","type":"t"}`).
		problem(http.StatusUnprocessableEntity, postdate.Invalid)
}
