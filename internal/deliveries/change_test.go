package deliveries_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

func TestCancel_WaitsForTheFirstAttemptInAGroup(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		state  postdate.State
	}{"delivered": {http.StatusOK, postdate.Delivered}, "failed": {http.StatusBadGateway, postdate.Cancelled}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := deliverytest.New(t)
			answer, begun, finish := deliverytest.Held(test.status)
			endpoint := a.Endpoint("*", answer)
			a.Configure(func(tenant *postdate.Tenant) {
				tenant.Endpoints[0].Retry = &postdate.Retry{MaxAttempts: 5, Initial: postdate.Duration(time.Hour)}
			})
			id := a.PublishAll(postdate.Event{ID: "x", Type: "t"})[0].ID + "." + endpoint
			<-begun
			delivery, err := a.Get(t.Context(), a.Name, id)
			require.NoError(t, err)
			require.Equal(t, postdate.Sending, delivery.State)
			require.Equal(t, "attempt 1 is under way", delivery.Reason)
			a.Listed(1, postdate.Filter{State: postdate.Sending})

			cancelled := make(chan error)
			go func() { cancelled <- a.CancelDelivery(context.WithoutCancel(t.Context()), a.Name, id) }()
			close(finish)
			err = <-cancelled
			if test.state == postdate.Delivered {
				require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
				require.EqualError(t, err, "already delivered")
			} else {
				require.NoError(t, err)
				require.NoError(t, a.CancelDelivery(t.Context(), a.Name, id), "again")
			}
			delivery = a.Becomes(id, test.state)
			require.Len(t, delivery.Attempts, 1)
			require.Equal(t, id, a.Listed(1, postdate.Filter{State: test.state})[0].ID)
		})
	}
}

func TestRetry_OfAnEventsDelivery(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	answer, mend := deliverytest.Mendable()
	endpoint := a.Endpoint("*", answer)
	id := a.PublishAll(postdate.Event{Type: "t"})[0].ID + "." + endpoint
	dead := a.Becomes(id, postdate.Dead)
	require.Len(t, dead.Attempts, 2)
	mend()
	retried, err := a.Retry(t.Context(), a.Name, id)
	require.NoError(t, err)
	require.Equal(t, dead.CreatedAt, retried.CreatedAt)
	delivery := a.Becomes(id, postdate.Delivered)
	require.Len(t, delivery.Attempts, 3)
	a.Listed(1, postdate.Filter{State: postdate.Delivered})
	require.Len(t, a.Pages(postdate.Filter{Tenant: a.Name}, 10), 1, "it is one delivery")
	event, err := a.GetEvent(t.Context(), a.Name, delivery.Message.ID)
	require.NoError(t, err)
	require.Equal(t, postdate.Delivered, event.Deliveries[0].State)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(a.RetryDelivery(t.Context(), a.Name, id)))
}

func TestOperation_RetriesWhatAFilterMatches(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	answer, mend := deliverytest.Mendable()
	broken := a.Endpoint("*", answer)
	other := a.Endpoint("*", deliverytest.Answering(http.StatusBadGateway))
	id := a.PublishAll(postdate.Event{Type: "t"})[0].ID
	a.Becomes(id+"."+broken, postdate.Dead)
	a.Becomes(id+"."+other, postdate.Dead)
	a.Listed(2, postdate.Filter{State: postdate.Dead})
	mend()

	in := protocol.SweepInput{
		Action: protocol.SweepRetry, Filter: postdate.Filter{Tenant: a.Name, State: postdate.Dead, Endpoint: broken},
	}
	require.NoError(t, a.StartOperation(t.Context(), a.Name, "swp_1", in))
	require.ErrorIs(t, a.StartOperation(t.Context(), a.Name, "swp_1", in), executions.ErrExists)
	a.Becomes(id+"."+broken, postdate.Delivered)
	require.NoError(t, deliverytest.Temporal.GetWorkflow(t.Context(), "sweep/"+a.Name+"/swp_1", "").Get(t.Context(), nil))
	progress, finished, err := a.GetOperation(t.Context(), a.Name, "swp_1")
	require.NoError(t, err)
	require.True(t, finished)
	require.Equal(t, protocol.SweepProgress{Found: 1, Done: 1}, progress)
	a.Becomes(id+"."+other, postdate.Dead)

	_, _, err = a.GetOperation(t.Context(), "another", "swp_1")
	require.Equal(t, postdate.NotFound, postdate.CodeOf(err))
}
