package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/quotas"
)

// slowBursts has one execution of a burst start per second.
func slowBursts(c *apiserver.Config) {
	quotad(quotas.Amount{}, func(c *ingest.Config) { c.BurstPerSecond = func() int { return 1 } })(c)
}

func TestBurst_SaysWhenWhatIsPutOffIsSent(t *testing.T) {
	t.Parallel()
	a := newAPI(t, slowBursts)
	due := time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	batch := func(schedules ...string) []apiserver.ScheduleResult {
		t.Helper()
		var made apiserver.ScheduledBatch
		a.do(http.MethodPost, "/v1/schedules/batch", `{"schedules":[`+strings.Join(schedules, ",")+`]}`).is(http.StatusOK).decode(&made)
		return made.Data
	}
	named := make([]string, 62)
	for n := range named {
		named[n] = message{"due_at": due, "id": fmt.Sprint("s", n)}.String()
	}
	putOff := 0
	for _, result := range batch(named...) {
		require.Equal(t, http.StatusCreated, result.Status)
		if !result.NextAttemptAt.IsZero() {
			require.WithinDuration(t, due.Add(61*time.Second), result.NextAttemptAt, 0)
			putOff++
		}
	}
	require.Equal(t, 1, putOff, "the others by a minute at most")
	for _, result := range batch(named...) {
		require.Equal(t, apiserver.ScheduleResult{Status: http.StatusOK, ID: result.ID}, result)
	}

	alone := a.create(message{"due_at": due})
	require.WithinDuration(t, due.Add(62*time.Second), alone.NextAttemptAt, 0)
	require.Contains(t, alone.Reason, "1m2s longer")

	unnamed := message{"due_at": due}.String()
	for _, result := range batch(unnamed, unnamed) {
		require.WithinDuration(t, due.Add(63*time.Second), result.NextAttemptAt, 0)
	}

	imported := a.importing(a.serve(), "?import=a")
	imported.send(unnamed, unnamed)
	require.NoError(t, imported.body.Close())
	for range 2 {
		require.WithinDuration(t, due.Add(64*time.Second), imported.next().NextAttemptAt, 0)
	}
	require.Nil(t, imported.next())
}
