package apiserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// held is a receiver that answers with status once finish is closed.
func held(status int) (to string, begun, finish chan struct{}) {
	begun, finish = make(chan struct{}, 10), make(chan struct{})
	return receiver(func(context.Context, postdate.Message) (postdate.Attempt, error) {
		begun <- struct{}{}
		<-finish
		return attempt(status), nil
	}), begun, finish
}

func TestUpdates_AreAnsweredDuringALongAttempt(t *testing.T) {
	t.Parallel()
	const later = `{"due_at":"2040-01-01T00:00:00Z"}`
	for name, test := range map[string]struct {
		method, path, body string
		status             int // of the receiver
		end                postdate.State
	}{
		"cancel a schedule that is delivered": {http.MethodDelete, "/v1/schedules/%s", "", http.StatusOK, postdate.Delivered},
		"cancel a delivery that fails":        {http.MethodPost, "/v1/deliveries/%s/cancel", "", http.StatusBadGateway, postdate.Cancelled},
		"fire":                                {http.MethodPost, "/v1/schedules/%s/fire", "", http.StatusOK, postdate.Delivered},
		"reschedule a schedule that fails":    {http.MethodPatch, "/v1/schedules/%s", later, http.StatusBadGateway, postdate.Scheduled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			to, begun, finish := held(test.status)
			made := a.create(message{"to": to, "timeout": "1m"})
			<-begun
			asked := time.Now()
			answered := a.do(test.method, fmt.Sprintf(test.path, made.ID), test.body).is(http.StatusAccepted)
			require.Less(t, time.Since(asked), 15*time.Second)
			var now struct{ State postdate.State }
			require.NoError(t, json.Unmarshal(answered.Body.Bytes(), &now))
			require.Equal(t, postdate.Sending, now.State)
			close(finish)
			a.becomes(made.ID, func(d delivery) bool { return d.State == test.end })
			require.Empty(t, begun, "it was sent once")
		})
	}
}

func TestFire_IsAnsweredBeforeItsAttemptEnds(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, begun, finish := held(http.StatusOK)
	made := a.create(message{"to": to, "delay": "1h"})
	fired := a.do(http.MethodPost, "/v1/schedules/"+made.ID+"/fire", "").is(http.StatusOK).delivery()
	require.Equal(t, postdate.Sending, fired.State)
	<-begun
	close(finish)
	require.Equal(t, postdate.Delivered, a.ended(made.ID).State)
}
