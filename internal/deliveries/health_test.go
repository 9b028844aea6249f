package deliveries_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// paced is an endpoint that is sent to once a second, in turns that the test gives.
func (t *tenant) paced(answer receiver) (postdate.Endpoint, *turns) {
	t.t.Helper()
	id := t.endpoint("t", answer)
	world.mu.Lock()
	known := world.tenants[t.name]
	known.Endpoints[0].RateLimit = &postdate.RateLimit{PerSecond: 1}
	e := known.Endpoints[0]
	world.mu.Unlock()
	return e, t.scarce(id)
}

// health waits until so many wait at e.
func (t *tenant) health(e postdate.Endpoint, waiting int) (health postdate.Health) {
	t.t.Helper()
	eventually.True(t.t, func() bool {
		var err error
		health, err = t.Health(t.t.Context(), t.name, e)
		require.NoError(t.t, err)
		return health.Waiting == waiting
	}, 15*time.Second, 50*time.Millisecond, "%d should wait: %+v", waiting, &health)
	return health
}

func TestHealth_TellsWhoWaitsByNow(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	e, turns := a.paced(answering(http.StatusOK))
	since := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Hour)
	queue := func(ids ...string) {
		var all []protocol.EnqueueRequest
		for _, id := range ids {
			q := a.queued(e.ID, id, []byte(`1`))
			since = since.Add(time.Minute)
			q.Entry.At = since
			all = append(all, q)
		}
		_, err := a.Enqueue(t.Context(), all)
		require.NoError(t, err)
	}
	first := since.Add(time.Minute)
	queue("e0", "e1", "e2")
	a.health(e, 3)
	queue("e3", "e4")
	health := a.health(e, 5)
	require.Equal(t, first, health.OldestWaiting)
	require.WithinDuration(t, time.Now().Add(5*time.Second), health.DrainedAt, 2*time.Second)

	turns.called <- struct{}{}
	turns.called <- struct{}{}
	health = a.health(e, 3)
	require.False(t, health.OldestWaiting.Before(first.Add(time.Minute)), "one of the first two lines is still called")
	require.WithinDuration(t, time.Now().Add(3*time.Second), health.DrainedAt, 2*time.Second)
	for range 3 {
		turns.called <- struct{}{}
	}
	health = a.health(e, 0)
	require.Zero(t, health.OldestWaiting)
	require.Zero(t, health.DrainedAt)
}

func TestLine_WhatFailsInItIsRetriedWhileOthersStillWait(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	e, turns := a.paced(answering(http.StatusServiceUnavailable, http.StatusOK))
	event := postdate.Event{Type: "t", Data: []byte(`1`)}
	var ids []string
	for _, p := range a.publish(event, event, event) {
		ids = append(ids, postdate.DeliveryID(p.ID, e.ID))
	}
	for _, id := range ids {
		a.becomes(id, postdate.Waiting)
	}
	a.health(e, 3)
	turns.open.Store(true)
	turns.called <- struct{}{}
	failed := a.becomes(ids[0], postdate.Delivered)
	require.Len(t, failed.Attempts, 2)
	require.Equal(t, http.StatusServiceUnavailable, failed.Attempts[0].Status)
	a.health(e, 2)
	a.becomes(ids[1], postdate.Waiting)
	a.listed(1, postdate.Filter{State: postdate.Delivered})
	a.listed(2, postdate.Filter{State: postdate.Waiting})
	require.Len(t, a.listed(3, postdate.Filter{}), 3)

	began := time.Now()
	require.NoError(t, a.CancelDelivery(t.Context(), a.name, ids[2]))
	cancelled := a.becomes(ids[2], postdate.Cancelled)
	require.WithinDuration(t, began, cancelled.EndedAt, 10*time.Second, "its line still runs")
	eventually.True(t, func() bool {
		for _, row := range a.pages(postdate.Filter{Tenant: a.name}, 10) {
			if row.ID == ids[2] {
				return row.State == postdate.Cancelled && row.EndedAt.Equal(cancelled.EndedAt)
			}
		}
		return false
	}, 15*time.Second, 50*time.Millisecond)
	a.health(e, 1)
	turns.called <- struct{}{}
	a.becomes(ids[1], postdate.Delivered)
	a.health(e, 0)
}
