package apiserver_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/quotas"
)

// quotad has the API keep to quotas.
func quotad(limits quotas.Amount, change ...func(*ingest.Config)) func(*apiserver.Config) {
	return func(c *apiserver.Config) {
		kept, err := quotas.New(quotas.Config{Executions: newExecutions(temporal), Limits: limits})
		if err != nil {
			panic(err) // it measures nothing
		}
		conf := ingest.Config{
			Temporal: temporal, Executions: newExecutions(temporal), Tenants: configured, Quotas: kept, Log: enginetest.Quiet,
		}
		for _, change := range change {
			change(&conf)
		}
		c.Quotas, c.Ingester, c.RequestDeliveries = kept, ingest.New(conf), conf.MaxRequestDeliveries
	}
}

func (a *api) quota() (q apiserver.Quotas) {
	a.t.Helper()
	a.do(http.MethodGet, "/v1/quota", "").is(http.StatusOK).decode(&q)
	return q
}

// sleeping is a schedule that is due tomorrow.
func sleeping(id string) string {
	return `{"id":"` + id + `","type":"t","delay":"24h","data":{"n":1}}`
}

func TestQuota_OfPendingMessages(t *testing.T) {
	t.Parallel()
	a := newAPI(t, quotad(quotas.Amount{Messages: 3}))
	schedule := func(id string) answer { return a.do(http.MethodPost, "/v1/schedules", sleeping(id)) }
	for _, id := range []string{"a", "b", "c"} {
		schedule(id).is(http.StatusCreated)
	}
	for range 3 {
		require.Contains(t, schedule("d").problem(http.StatusTooManyRequests, postdate.QuotaPending).Detail, "3 messages")
	}
	a.do(http.MethodPost, "/v1/schedules", `{"type":"t","recurrence":{"every":"24h"}}`).problem(http.StatusTooManyRequests, postdate.QuotaPending)
	a.do(http.MethodPost, "/v1/events", `{"type":"t"}`).problem(http.StatusTooManyRequests, postdate.QuotaPending)
	a.do(http.MethodPost, "/v1/events/batch", `{"events":[{"type":"t"},{"id":"e","type":"t"}]}`).problem(http.StatusTooManyRequests, postdate.QuotaPending)

	// What was accepted is answered as ever, and counts once.
	schedule("a").is(http.StatusOK)
	a.do(http.MethodPost, "/v1/schedules", `{"id":"a","type":"other","delay":"24h"}`).problem(http.StatusConflict, postdate.Conflict)
	a.do(http.MethodGet, "/v1/schedules/a", "").is(http.StatusOK)

	// Another tenant has its own.
	other := newAPI(t)
	other.handler = a.handler
	other.do(http.MethodPost, "/v1/schedules", sleeping("a")).is(http.StatusCreated)

	// What ends makes room.
	a.do(http.MethodDelete, "/v1/schedules/a", "").is(http.StatusOK)
	eventually.True(t, func() bool { return schedule("d").Code == http.StatusCreated })
}

// Nothing is remembered but by Temporal: a process that begins knows what is kept.
func TestQuota_OutlivesTheProcess(t *testing.T) {
	t.Parallel()
	a := newAPI(t, quotad(quotas.Amount{}))
	for _, id := range []string{"a", "b"} {
		a.do(http.MethodPost, "/v1/schedules", sleeping(id)).is(http.StatusCreated)
	}
	large := `{"id":"large","type":"t","delay":"24h","data":"` + strings.Repeat("x", 100<<10) + `"}`
	a.do(http.MethodPost, "/v1/schedules", large).is(http.StatusCreated)
	var q apiserver.Quotas
	eventually.True(t, func() bool {
		q = a.quota()
		return *q.PendingMessages.Used == 3
	})
	require.Nil(t, q.PendingMessages.Limit)
	require.InDelta(t, 100<<10, *q.KeptBytes.Used, 40<<10)

	next := newAPI(t, quotad(quotas.Amount{Messages: 4, Bytes: 150 << 10}))
	next.tenant = a.tenant
	next.do(http.MethodPost, "/v1/schedules", strings.Replace(large, `"large"`, `"second"`, 1)).problem(http.StatusTooManyRequests, postdate.QuotaBytes)
	next.do(http.MethodPost, "/v1/schedules", large).is(http.StatusOK)
	next.do(http.MethodPost, "/v1/schedules", sleeping("c")).is(http.StatusCreated)
	next.do(http.MethodPost, "/v1/schedules", sleeping("d")).problem(http.StatusTooManyRequests, postdate.QuotaPending)
}

// Repeating a request, with an id or an Idempotency-Key, is no more than making it once.
func TestQuota_CountsARepeatedRequestOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t, quotad(quotas.Amount{Messages: 10}))
	a.endpoint("*", hanging(t))
	for range 30 {
		require.Contains(t, []int{http.StatusOK, http.StatusCreated}, a.do(http.MethodPost, "/v1/schedules", sleeping("a")).Code)
		a.publish(message{"id": "e"})
		a.publish(message{"entity": "x"}, "Idempotency-Key", "k")
	}
	require.Equal(t, int64(3), *a.quota().PendingMessages.Used)
}

func TestQuota_AnswersRepeatedEventsBeyondIt(t *testing.T) {
	t.Parallel()
	a := newAPI(t, quotad(quotas.Amount{Messages: 2}))
	a.endpoint("*", hanging(t))
	first := a.publish(message{"id": "e"})
	a.publish(message{"entity": "x"}, "Idempotency-Key", "k")
	a.do(http.MethodPost, "/v1/events", happened(message{"id": "f"})).problem(http.StatusTooManyRequests, postdate.QuotaPending)

	again := a.publish(message{"id": "e"})
	require.True(t, again.Duplicate)
	require.Equal(t, first.Deliveries, again.Deliveries)
	require.True(t, a.publish(message{"entity": "x"}, "Idempotency-Key", "k").Duplicate)
	a.do(http.MethodPost, "/v1/events", happened(message{"id": "e", "entity": "other"})).problem(http.StatusConflict, postdate.Conflict)

	// In a batch each event is answered in its place.
	var batch apiserver.PublishedBatch
	a.do(http.MethodPost, "/v1/events/batch",
		`{"events":[{"id":"e","type":"test.happened"},{"id":"g","type":"t"},{"type":"t"}]}`).is(http.StatusAccepted).decode(&batch)
	require.True(t, batch.Data[0].Duplicate)
	require.Equal(t, postdate.QuotaPending, batch.Data[1].Error.Code)
	require.Equal(t, postdate.QuotaPending, batch.Data[2].Error.Code)
}

func TestQuota_OfDeliveriesOfARequest(t *testing.T) {
	t.Parallel()
	a := newAPI(t, quotad(quotas.Amount{}, func(c *ingest.Config) { c.MaxRequestDeliveries = 6 }))
	events := func(n int) string {
		return `{"events":[` + strings.TrimSuffix(strings.Repeat(`{"type":"t"},`, n), ",") + `]}`
	}
	for range 3 {
		a.endpoint("t", answering(200))
	}
	a.do(http.MethodPost, "/v1/events/batch", events(2)).is(http.StatusAccepted)
	refused := a.do(http.MethodPost, "/v1/events/batch", events(3))
	require.Contains(t, refused.problem(http.StatusTooManyRequests, postdate.QuotaDeliveries).Detail, "make 9")
	require.Empty(t, refused.Header().Get("Retry-After"), "no time helps")
	require.Equal(t, int64(6), *a.quota().DeliveriesPerRequest.Limit)
	require.Nil(t, a.quota().DeliveriesPerRequest.Used)
}

// Five keys are no faster than one may be, and one that is refused takes nothing from the
// others.
func TestQuota_OfAllKeysTogether(t *testing.T) {
	t.Parallel()
	clock := newClock()
	a := newAPI(t, clock.into, limited(5), func(c *apiserver.Config) { c.TenantRateLimit = 10 })
	ask := func(key string) answer { return a.with(key, http.MethodGet, "/v1/endpoints", "") }
	keys := make([]string, 5)
	for i := range keys {
		keys[i] = a.key(postdate.Read).Key
	}
	w := ask(keys[0]).is(http.StatusOK)
	require.Equal(t, `"key";q=10;w=2, "tenant";q=20;w=2`, w.Header().Get("RateLimit-Policy"))
	require.Equal(t, `"key";r=9;t=1, "tenant";r=19;t=1`, w.Header().Get("RateLimit"))
	for range 100 {
		ask(keys[0])
	}
	allowed := 0
	for range 10 {
		for _, key := range keys[1:] {
			if ask(key).Code == http.StatusOK {
				allowed++
			}
		}
	}
	require.Equal(t, 10, allowed)
	w = ask(a.key(postdate.Read).Key)
	w.problem(http.StatusTooManyRequests, postdate.QuotaRate)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, int64(20), *a.quota().RequestsPerSecond.Used)

	clock.advance(time.Second)
	allowed = 0
	for range 10 {
		for _, key := range keys {
			if ask(key).Code == http.StatusOK {
				allowed++
			}
		}
	}
	require.Equal(t, 10, allowed)
	a.do(http.MethodGet, "/v1/endpoints", "").is(http.StatusOK) // the operator
}

func TestQuota_OfRequestsUnderWay(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(c *apiserver.Config) { c.TenantRequests = 3 })
	key := a.key(postdate.Write).Key
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	id := a.endpoint("t", waiting(release, entered))
	var asking sync.WaitGroup
	for range 3 {
		asking.Go(func() { a.with(key, http.MethodPost, "/v1/endpoints/"+id+"/test", "").is(http.StatusOK) })
	}
	for range 3 {
		<-entered
	}
	w := a.with(key, http.MethodGet, "/v1/endpoints", "")
	w.problem(http.StatusTooManyRequests, postdate.QuotaRequests)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, int64(3), *a.quota().RequestsUnderWay.Used)
	a.do(http.MethodGet, "/v1/endpoints", "").is(http.StatusOK) // the operator
	close(release)
	asking.Wait()
	a.with(key, http.MethodGet, "/v1/endpoints", "").is(http.StatusOK)
}

func TestQuota_IsShownToEveryKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t, quotad(quotas.Amount{Messages: 5, Bytes: 1 << 20}), func(c *apiserver.Config) {
		c.TenantRateLimit, c.TenantRequests, c.Reschedules = 50, 10, 1000
	})
	shown := a.with(a.key(postdate.Read).Key, http.MethodGet, "/v1/quota", "").is(http.StatusOK).Body.String()
	require.JSONEq(t, `{"pending_messages":{"used":0,"limit":5},"kept_bytes":{"used":0,"limit":1048576},"deliveries_per_request":{},
		"requests_under_way":{"used":1,"limit":10},"requests_per_second":{"used":1,"limit":50},"reschedules":{"limit":1000}}`, shown)
}

// Too much waits already: what is due now is refused, what was accepted is answered.
func TestBacklog_RefusesWhatIsDueNow(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	behind := false
	a := newAPI(t, quotad(quotas.Amount{}, func(c *ingest.Config) {
		c.Backlog = func(due time.Time) error {
			mu.Lock()
			defer mu.Unlock()
			if !behind || due.After(time.Now().Add(time.Hour)) {
				return nil
			}
			return &postdate.Error{Code: postdate.Overloaded, Detail: "too far behind", RetryAfter: 30 * time.Second}
		}
	}))
	now := func(id string) string { return `{"id":"` + id + `","type":"t","delay":"0s"}` }
	a.do(http.MethodPost, "/v1/schedules", now("a")).is(http.StatusCreated)
	a.publish(message{"id": "e"})
	mu.Lock()
	behind = true
	mu.Unlock()
	for path, body := range map[string]string{
		"/v1/schedules": now("b"), "/v1/events": `{"type":"t"}`, "/v1/events/batch": `{"events":[{"type":"t"}]}`,
	} {
		w := a.do(http.MethodPost, path, body)
		w.problem(http.StatusServiceUnavailable, postdate.Overloaded)
		require.Equal(t, "30", w.Header().Get("Retry-After"))
	}
	a.do(http.MethodPost, "/v1/schedules", now("a")).is(http.StatusOK)
	require.True(t, a.publish(message{"id": "e"}).Duplicate)
	a.do(http.MethodPost, "/v1/schedules", sleeping("later")).is(http.StatusCreated)
}

// waiting is a receiver that says when it is called, and answers once it is released.
func waiting(release <-chan struct{}, entered chan<- struct{}) string {
	return receiver(func(context.Context, postdate.Message) (postdate.Attempt, error) {
		entered <- struct{}{}
		<-release
		return attempt(http.StatusOK), nil
	})
}

// hanging is a receiver that answers at the end of the test.
func hanging(t *testing.T) string {
	t.Helper()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	return waiting(release, make(chan struct{}, 1000))
}
