package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

// together creates schedules without names until so many share an execution.
func (a *api) together(n int, m message) []apiserver.Delivery {
	a.t.Helper()
	for {
		var mu sync.Mutex
		var group sync.WaitGroup
		shared := make(map[string][]apiserver.Delivery)
		for range 8 * n {
			group.Go(func() {
				w := a.do(http.MethodPost, "/v1/schedules", m.String()).is(http.StatusCreated)
				made := w.delivery()
				mu.Lock()
				defer mu.Unlock()
				require.Equal(a.t, "/v1/schedules/"+made.ID, w.Header().Get("Location"))
				if group, _, ok := postdate.SplitGroupedScheduleID(made.ID); ok {
					require.Contains(a.t, made.Link, group)
					shared[group] = append(shared[group], made)
				}
			})
		}
		group.Wait()
		for _, made := range shared {
			if len(made) >= n {
				return made[:n]
			}
		}
	}
}

// creator creates a schedule.
type creator func(message) apiserver.Delivery

// bothWays runs a test with schedules that have executions of their own, and with ones that
// share theirs.
func bothWays(t *testing.T, test func(t *testing.T, a *api, create creator)) {
	t.Helper()
	for name, of := range map[string]func(*api) creator{
		"of its own": func(a *api) creator { return a.create },
		"shared":     func(a *api) creator { return a.createShared },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			test(t, a, of(a))
		})
	}
}

// createShared creates a schedule that shares an execution with another like it.
func (a *api) createShared(m message) apiserver.Delivery {
	a.t.Helper()
	var batch apiserver.ScheduledBatch
	body := `{"schedules":[` + m.String() + `,` + m.String() + `]}`
	a.do(http.MethodPost, "/v1/schedules/batch", body, "Idempotency-Key", uuid.NewString()).is(http.StatusOK).decode(&batch)
	made := a.get(batch.Data[0].ID)
	group, _, shared := postdate.SplitGroupedScheduleID(made.ID)
	require.True(a.t, shared)
	require.Contains(a.t, batch.Data[1].ID, group)
	return made
}

func TestUnnamed_DoAllThatSchedulesDo(t *testing.T) {
	t.Parallel()
	due := tomorrow()
	for _, name := range []string{"url", "endpoint"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			to := message{"url": answering(http.StatusOK)}
			if name == "endpoint" {
				var endpoint struct{ ID string }
				w := a.do(http.MethodPost, "/v1/endpoints", fmt.Sprintf(`{"url": %q, "event_types": ["none"]}`, to["url"])).is(http.StatusCreated)
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &endpoint))
				to = message{"endpoint": endpoint.ID}
			}
			body := message{
				"type": "t." + name, "entity": "customer_" + name, "due_at": due, "expires_at": due.Add(time.Hour), "timeout": "7s", "data": 1,
				"retry": message{"schedule": []string{"5s"}}, "to": to,
			}
			made := a.together(4, body)
			for _, m := range made {
				require.Equal(t, m, a.get(m.ID))
				require.Equal(t, postdate.Scheduled, m.State)
				require.Equal(t, "7s", m.Timeout.String())
			}
			path := func(n int) string { return "/v1/schedules/" + made[n].ID }
			a.do(http.MethodDelete, path(0), "").is(http.StatusOK)
			require.Equal(t, postdate.Cancelled, a.get(made[0].ID).State)
			a.do(http.MethodDelete, path(0), "").is(http.StatusOK)
			a.do(http.MethodPatch, path(0), message{"due_at": due}.String()).problem(http.StatusConflict, postdate.Conflict)

			later := due.Add(time.Minute)
			moved := a.do(http.MethodPatch, path(1), fmt.Sprintf(`{"due_at": %q}`, later.Format(time.RFC3339))).is(http.StatusOK).delivery()
			require.Equal(t, later, moved.DueAt)
			a.do(http.MethodPatch, path(1), fmt.Sprintf(`{"due_at": %q}`, due.Add(2*time.Hour).Format(time.RFC3339))).
				problem(http.StatusUnprocessableEntity, postdate.Invalid)
			changed := a.do(http.MethodPatch, path(2), `{"data": 2}`).is(http.StatusOK).delivery()
			require.JSONEq(t, "2", string(changed.Data))
			require.Equal(t, due, changed.DueAt)
			a.do(http.MethodPost, path(3)+"/fire", "").is(http.StatusOK)
			a.becomes(made[3].ID, func(d apiserver.Delivery) bool { return d.State == postdate.Delivered })
			a.do(http.MethodPost, path(3)+"/fire", "").problem(http.StatusConflict, postdate.Conflict)
		})
	}
}
