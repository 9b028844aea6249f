package deliveries_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// held is a receiver that answers with status once it is let go.
func held(status int) (answer receiver, begun, finish chan struct{}) {
	begun, finish = make(chan struct{}), make(chan struct{})
	return func(context.Context, postdate.Message) postdate.Attempt {
		begun <- struct{}{}
		<-finish
		return attempt(status)
	}, begun, finish
}

func TestCancel_WaitsForTheFirstAttemptInAGroup(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		state  postdate.State
	}{"delivered": {http.StatusOK, postdate.Delivered}, "failed": {http.StatusBadGateway, postdate.Cancelled}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newTenant(t)
			answer, begun, finish := held(test.status)
			endpoint := a.endpoint("*", answer)
			world.mu.Lock()
			world.tenants[a.name].Endpoints[0].Retry = &postdate.Retry{MaxAttempts: 5, Initial: postdate.Duration(time.Hour)}
			world.mu.Unlock()
			id := a.publish(postdate.Event{ID: "x", Type: "t"})[0].ID + "." + endpoint
			<-begun
			seen, err := a.Get(t.Context(), a.name, id)
			require.NoError(t, err)
			require.Equal(t, postdate.Sending, seen.State)
			require.Equal(t, "attempt 1 is under way", seen.Reason)
			a.listed(1, postdate.Filter{State: postdate.Sending})

			cancelled := make(chan error)
			go func() { cancelled <- a.CancelDelivery(context.WithoutCancel(t.Context()), a.name, id) }()
			close(finish)
			err = <-cancelled
			if test.state == postdate.Delivered {
				require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
				require.EqualError(t, err, "already delivered")
			} else {
				require.NoError(t, err)
				require.NoError(t, a.CancelDelivery(t.Context(), a.name, id), "again")
			}
			seen = a.becomes(id, test.state)
			require.Len(t, seen.Attempts, 1)
			require.Equal(t, id, a.listed(1, postdate.Filter{State: test.state})[0].ID)
		})
	}
}

func TestRetry_OfAnEventsDelivery(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	answer, mend := mendable()
	endpoint := a.endpoint("*", answer)
	id := a.publish(postdate.Event{Type: "t"})[0].ID + "." + endpoint
	dead := a.becomes(id, postdate.Dead)
	require.Len(t, dead.Attempts, 2)
	mend()
	made, err := a.Retry(t.Context(), a.name, id)
	require.NoError(t, err)
	require.Equal(t, dead.CreatedAt, made.CreatedAt)
	seen := a.becomes(id, postdate.Delivered)
	require.Len(t, seen.Attempts, 3)
	a.listed(1, postdate.Filter{State: postdate.Delivered})
	require.Len(t, a.pages(postdate.Filter{Tenant: a.name}, 10), 1, "it is one delivery")
	event, err := a.GetEvent(t.Context(), a.name, seen.Message.ID)
	require.NoError(t, err)
	require.Equal(t, postdate.Delivered, event.Deliveries[0].State)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(a.RetryDelivery(t.Context(), a.name, id)))
}

func TestSweep_RetriesWhatAFilterMeans(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	answer, mend := mendable()
	broken := a.endpoint("*", answer)
	other := a.endpoint("*", answering(http.StatusBadGateway))
	id := a.publish(postdate.Event{Type: "t"})[0].ID
	a.becomes(id+"."+broken, postdate.Dead)
	a.becomes(id+"."+other, postdate.Dead)
	a.listed(2, postdate.Filter{State: postdate.Dead})
	mend()

	in := protocol.SweepInput{
		Action: protocol.SweepRetry, Filter: postdate.Filter{Tenant: a.name, State: postdate.Dead, Endpoint: broken},
	}
	require.NoError(t, a.StartOperation(t.Context(), a.name, "swp_1", in))
	require.ErrorIs(t, a.StartOperation(t.Context(), a.name, "swp_1", in), executions.ErrExists)
	a.becomes(id+"."+broken, postdate.Delivered)
	require.NoError(t, temporal.GetWorkflow(t.Context(), "sweep/"+a.name+"/swp_1", "").Get(t.Context(), nil))
	progress, finished, err := a.GetOperation(t.Context(), a.name, "swp_1")
	require.NoError(t, err)
	require.True(t, finished)
	require.Equal(t, protocol.SweepProgress{Found: 1, Done: 1}, progress)
	a.becomes(id+"."+other, postdate.Dead)

	_, _, err = a.GetOperation(t.Context(), "another", "swp_1")
	require.Equal(t, postdate.NotFound, postdate.CodeOf(err))
}
