package apiserver_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

type delivery = apiserver.Delivery

func TestDelivery_ShowsAnAttemptUnderWay(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	to := receiver(func(context.Context, postdate.Message) (postdate.Attempt, error) {
		begun <- struct{}{}
		<-finish
		return attempt(http.StatusBadGateway), nil
	})
	made := a.create(message{"to": to, "retry": message{"schedule": []string{"0s"}}})
	<-begun
	d := a.get(made.ID)
	require.Equal(t, postdate.Sending, d.State)
	require.Equal(t, "attempt 1 is under way", d.Reason)
	finish <- struct{}{}
	<-begun
	d = a.get(made.ID)
	require.Equal(t, postdate.Sending, d.State)
	require.Equal(t, "attempt 2 is under way", d.Reason)
	require.Len(t, d.Attempts, 1)
	finish <- struct{}{}
	require.Equal(t, postdate.Dead, a.ended(made.ID).State)
}

func TestDelivery_ShowsARetry(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.create(message{"to": answering(http.StatusServiceUnavailable), "retry": message{"schedule": []string{"1h"}, "jitter": 0}})
	d := a.becomes(made.ID, isRetrying)
	require.WithinDuration(t, time.Now().Add(time.Hour), d.NextAttemptAt, time.Minute)
	require.Equal(t, "HTTP 503 Service Unavailable: answered Service Unavailable; attempt 2 follows at "+d.NextAttemptAt.Format(time.RFC3339), d.Reason)
	require.Len(t, d.Attempts, 1)
	require.Equal(t, 1, d.Attempts[0].Number)
	require.Equal(t, postdate.Failed, d.Attempts[0].Outcome)
	require.Equal(t, http.StatusServiceUnavailable, d.Attempts[0].Status)
	require.Equal(t, "answered Service Unavailable", d.Attempts[0].Response)
	require.Equal(t, time.UTC, d.Attempts[0].At.Location())
}

func TestDelivery_ShowsThatNoAttemptCouldBeMade(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to := receiver(func(context.Context, postdate.Message) (postdate.Attempt, error) {
		return postdate.Attempt{}, errors.New("no signing secret")
	})
	made := a.create(message{"to": to})
	d := a.becomes(made.ID, isRetrying)
	require.Contains(t, d.Reason, "no signing secret; attempt 1 follows at ")
	require.Empty(t, d.Attempts)
}

func TestDelivery_ShowsHowItEnded(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	end := func(fields message) delivery { return a.ended(a.create(fields).ID) }

	d := end(message{"to": answering(http.StatusOK)})
	require.Equal(t, postdate.Delivered, d.State)
	require.Empty(t, d.Reason)
	require.Len(t, d.Attempts, 1)
	require.False(t, d.EndedAt.Before(d.CreatedAt))

	d = end(message{"to": answering(http.StatusBadGateway), "retry": message{"schedule": []string{"0s"}}})
	require.Equal(t, postdate.Dead, d.State)
	require.Equal(t, "gave up after 2 attempts: HTTP 502 Bad Gateway: answered Bad Gateway", d.Reason)
	require.Len(t, d.Attempts, 2)
	require.False(t, d.EndedAt.IsZero())

	d = end(message{"to": answering(http.StatusGone)})
	require.Equal(t, postdate.Dead, d.State)
	require.Contains(t, d.Reason, "the receiver is gone")
	require.Len(t, d.Attempts, 1)

	expires := time.Now().Add(time.Hour)
	d = end(message{"to": answering(http.StatusBadGateway), "retry": message{"schedule": []string{"2h"}}, "expires_at": expires})
	require.Equal(t, postdate.Expired, d.State)
	require.Contains(t, d.Reason, "expires at "+expires.UTC().Format(time.RFC3339))
	require.Len(t, d.Attempts, 1)

	made := a.create(message{"delay": "1h"})
	require.NoError(t, temporal.TerminateWorkflow(t.Context(), protocol.ScheduleID(a.tenant, made.ID), "", "out of order"))
	d = a.ended(made.ID)
	require.Equal(t, postdate.Cancelled, d.State)
	require.Contains(t, d.Reason, "out of order")
	a.do(http.MethodDelete, "/v1/schedules/"+made.ID, "").is(http.StatusOK)
}

func TestDelivery_WaitsForAWorker(t *testing.T) {
	t.Parallel()
	a := newAPIOn(t, idle)
	a.tenant = postdate.DefaultTenant // it has a secret, which no worker must make
	made := a.create(message{})
	d := a.get(made.ID)
	require.Equal(t, postdate.Sending, d.State)
	require.Equal(t, "due since "+made.DueAt.Format(time.RFC3339)+": waits for a worker to take it up", d.Reason)
	a.do(http.MethodGet, "/readyz", "").problem(http.StatusServiceUnavailable, postdate.Unavailable)

	for _, path := range []string{"fire", "cancel"} {
		root := map[string]string{"fire": "/v1/schedules/", "cancel": "/v1/deliveries/"}[path]
		w := a.do(http.MethodPost, root+made.ID+"/"+path, "")
		p := w.problem(http.StatusServiceUnavailable, postdate.Unavailable)
		require.Contains(t, p.Detail, "no worker")
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		a.do(http.MethodPost, root+"nothing/"+path, "").problem(http.StatusNotFound, postdate.NotFound)
	}
}

// A worker was seen lately, and is gone.
func TestUpdates_ThatNoWorkerTakesUpAreUnavailable(t *testing.T) {
	t.Parallel()
	a := newAPIOn(t, idle, func(c *apiserver.Config) {
		c.Deliveries = newDeliveries(idle, c.Tenants, func(d *deliveries.Config) {
			d.WorkerPolling = func(context.Context) (bool, error) { return true, nil }
		})
	})
	a.tenant = postdate.DefaultTenant
	made := a.create(message{"delay": "1h"})
	var stop context.CancelFunc
	a.ctx, stop = context.WithTimeout(t.Context(), time.Second)
	defer stop()
	p := a.do(http.MethodDelete, "/v1/schedules/"+made.ID, "").problem(http.StatusServiceUnavailable, postdate.Unavailable)
	require.Contains(t, p.Detail, "it may still be done")
}

// The first attempt failed, and the worker died before it could say more.
func TestDelivery_ShowsAnAttemptThatNoRetryHasReported(t *testing.T) {
	t.Parallel()
	c, stop, err := startEngine()
	require.NoError(t, err)
	defer stop()
	half := sdk.New(c, protocol.TaskQueue, sdk.Options{LocalActivityWorkerOnly: true})
	workflows.Register(half)
	(&activities.Activities{
		Sender: &senders, Tenants: newTenants(c), Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}).Register(half)
	require.NoError(t, half.Start())
	defer half.Stop()

	a := newAPIOn(t, c)
	a.tenant = postdate.DefaultTenant
	made := a.create(message{"to": answering(http.StatusBadGateway)})
	d := a.becomes(made.ID, func(d delivery) bool { return d.State == postdate.Retrying })
	require.Len(t, d.Attempts, 1)
	require.Equal(t, "HTTP 502 Bad Gateway: answered Bad Gateway; attempt 2 is due, and waits for a worker to take it up", d.Reason)
}

func TestDelivery_LinksToTheWebUI(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(c *apiserver.Config) { c.UIURL += "/" })
	made := a.create(message{"id": "a:b", "delay": "1h"})
	described, err := temporal.DescribeWorkflowExecution(t.Context(), protocol.ScheduleID(a.tenant, "a:b"), "")
	require.NoError(t, err)
	run := described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	require.Equal(t, uiURL+"/namespaces/default/workflows/schedule%2F"+a.tenant+"%2Fa:b/"+run+"/history", made.Link)

	without := newAPI(t, func(c *apiserver.Config) { c.UIURL = "" })
	require.Empty(t, without.create(message{"delay": "1h"}).Link)
}

func TestDelivery_IsShownInTheWebUIByTypeAndHost(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.create(message{"delay": "1h", "type": "payment_request.due", "to": "https://b.example/secret"})
	described, err := temporal.DescribeWorkflow(t.Context(), protocol.ScheduleID(a.tenant, made.ID), "")
	require.NoError(t, err)
	summary, err := described.GetStaticSummary()
	require.NoError(t, err)
	require.Equal(t, "payment_request.due → b.example", summary)
}

func TestRetry_TakesUpADeadLetter(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.create(message{"to": answering(500, 500, 500, 200), "retry": message{"schedule": []string{"0s"}}, "entity": "e"})
	first := a.ended(made.ID)
	require.Equal(t, postdate.Dead, first.State)
	require.Len(t, first.Attempts, 2)

	retried := a.do(http.MethodPost, "/v1/deliveries/"+made.ID+"/retry", "").is(http.StatusOK).delivery()
	require.Equal(t, postdate.Sending, retried.State)
	require.Len(t, retried.Attempts, 2)
	d := a.ended(made.ID)
	require.Equal(t, postdate.Delivered, d.State, "a fresh round has two attempts too")
	require.Len(t, d.Attempts, 4)
	require.Equal(t, 4, d.Attempts[3].Number)
	require.Equal(t, first.CreatedAt, d.CreatedAt)
	require.Equal(t, "e", d.Entity)
	a.do(http.MethodPost, "/v1/deliveries/"+made.ID+"/retry", "").problem(http.StatusConflict, postdate.Conflict)
}

// So that lists show it once. The engine does it within milliseconds, or, where
// the run has ended in the last minute, when that is over.
func TestRetry_DeletesTheRunThatDied(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.create(message{"to": answering(http.StatusGone, http.StatusOK)})
	a.ended(made.ID)
	retried := a.do(http.MethodPost, "/v1/deliveries/"+made.ID+"/retry", "").is(http.StatusOK).delivery()
	_, gone := deleted.Load(runOf(made.Link))
	_, goneToo := deleted.Load(runOf(retried.Link))
	require.True(t, gone)
	require.False(t, goneToo)
	require.Equal(t, postdate.Delivered, a.ended(made.ID).State)
}

// runOf is the id of the run that link leads to.
func runOf(link string) string { return path.Base(path.Dir(link)) }

func TestRetry_StartsOneRunHoweverManyAskAtOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	begun, finish := make(chan struct{}, 20), make(chan struct{})
	var once sync.Once
	to := receiver(func(context.Context, postdate.Message) (postdate.Attempt, error) {
		status := http.StatusOK
		once.Do(func() { status = http.StatusGone })
		if status == http.StatusOK {
			begun <- struct{}{}
			<-finish
		}
		return attempt(status), nil
	})
	made := a.create(message{"to": to})
	require.Equal(t, postdate.Dead, a.ended(made.ID).State)
	codes := make(chan int)
	for range 10 {
		go func() { codes <- a.do(http.MethodPost, "/v1/deliveries/"+made.ID+"/retry", "").Code }()
	}
	counts := make(map[int]int)
	for range 10 {
		counts[<-codes]++
	}
	close(finish)
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusConflict: 9}, counts)
	a.ended(made.ID)
	require.Len(t, begun, 1)
}

func TestRetry_OnlyOfWhatIsDead(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	retryOf := func(id string) string { return "/v1/deliveries/" + id + "/retry" }
	a.do(http.MethodPost, retryOf(uuid.NewString()), "").problem(http.StatusNotFound, postdate.NotFound)

	sleeping := a.create(message{"delay": "1h"})
	p := a.do(http.MethodPost, retryOf(sleeping.ID), "").problem(http.StatusConflict, postdate.Conflict)
	require.Equal(t, "only what is dead can be retried, and this is scheduled", p.Detail)
	a.do(http.MethodDelete, "/v1/schedules/"+sleeping.ID, "").is(http.StatusOK)
	a.do(http.MethodPost, retryOf(sleeping.ID), "").problem(http.StatusConflict, postdate.Conflict)

	expires := time.Now().Add(time.Hour)
	dead := a.create(message{"to": answering(http.StatusGone), "expires_at": expires})
	a.ended(dead.ID)
	later := newAPI(t, func(c *apiserver.Config) {
		c.Deliveries = newDeliveries(temporal, c.Tenants, func(d *deliveries.Config) { d.Now = func() time.Time { return expires } })
	})
	later.tenant = a.tenant
	p = later.do(http.MethodPost, retryOf(dead.ID), "").problem(http.StatusConflict, postdate.Conflict)
	require.Contains(t, p.Detail, "expired at")
	a.do(http.MethodPost, retryOf(dead.ID), "").is(http.StatusOK)
}

func TestEngineUnreachable(t *testing.T) {
	t.Parallel()
	lost, err := client.NewLazyClient(client.Options{HostPort: "127.0.0.1:1", Logger: quietLog})
	require.NoError(t, err)
	a := newAPIOn(t, lost)
	a.do(http.MethodGet, "/healthz", "").is(http.StatusOK)
	for _, call := range []struct{ method, path, body string }{
		{http.MethodGet, "/readyz", ""},
		{http.MethodGet, "/v1/schedules/x", ""},
		{http.MethodGet, "/v1/schedules", ""},
		{http.MethodGet, "/v1/deliveries/x.y", ""},
		{http.MethodGet, "/v1/deliveries", ""},
		{http.MethodGet, "/v1/events/x", ""},
		{http.MethodGet, "/v1/operations/x", ""},
		{http.MethodPost, "/v1/events", `{"type":"t"}`},
		{http.MethodPost, "/v1/events/batch", `{"events":[{"type":"t"}]}`},
		{http.MethodPost, "/v1/deliveries/retry", `{"all":true}`},
		{http.MethodPost, "/v1/deliveries/retry", `{"dry_run":true}`},
		{http.MethodPost, "/v1/schedules", message{}.String()},
		{http.MethodDelete, "/v1/schedules/x", ""},
	} {
		t.Run(call.method+" "+call.path, func(t *testing.T) {
			t.Parallel()
			a.do(call.method, call.path, call.body).problem(http.StatusServiceUnavailable, postdate.Unavailable)
		})
	}
}
