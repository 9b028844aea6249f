package deliveries_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
)

// inAnHour is a whole second: what is due at it and at the next one are two crowds.
func inAnHour() time.Time { return time.Now().UTC().Truncate(time.Second).Add(time.Hour) }

// lateness is how long after they are due so many are woken that are due then.
func (t *tenant) lateness(n int, due time.Time) []time.Duration {
	t.t.Helper()
	all := make([]time.Duration, n)
	for i := range all {
		seen, err := t.due(uuid.NewString(), due, time.Time{})
		require.NoError(t.t, err)
		all[i] = startsAt(seen).Sub(due)
	}
	return all
}

func (t *tenant) bursts(perSecond int) *tenant {
	a := newTenantOf(perSecond)
	a.t, a.name = t.t, t.name
	return a
}

// startsAt is when the execution of a delivery starts, which sleeps.
func startsAt(d postdate.Delivery) time.Time { return d.NextAttemptAt }

func TestStart_WakesSoManyOfACrowdInEachSecond(t *testing.T) {
	t.Parallel()
	due := inAnHour()
	a, b := newTenant(t).bursts(2), newTenant(t).bursts(2)
	b.Ingester, b.Store = a.Ingester, a.Store
	require.Equal(t, []time.Duration{
		0, 0, time.Second / 2, time.Second, 3 * time.Second / 2, 2 * time.Second,
	}, a.lateness(6, due))
	require.Equal(t, []time.Duration{0, 0}, b.lateness(2, due), "another tenant's is no crowd")
	require.Equal(t, []time.Duration{0, 0}, a.lateness(2, due.Add(time.Second)), "nor is another second's")
}

func TestStart_WakesAllOfACrowdWhereTheOperatorWantsThat(t *testing.T) {
	t.Parallel()
	require.Equal(t, make([]time.Duration, 5), newTenant(t).bursts(0).lateness(5, inAnHour()))
}

func TestStart_TellsHowLongOneOfACrowdIsPutOff(t *testing.T) {
	t.Parallel()
	a, due := newTenant(t).bursts(1), inAnHour()
	a.lateness(3, due)
	_, err := a.due("one_of_many", due, time.Time{})
	require.NoError(t, err)
	seen, err := a.Get(t.Context(), a.name, "one_of_many")
	require.NoError(t, err)
	require.Equal(t, due, seen.DueAt)
	require.WithinDuration(t, due.Add(3*time.Second), seen.NextAttemptAt, 100*time.Millisecond)
	require.Equal(t, "sleeps until it is due, and 3s longer: many of the tenant's are due at that moment", seen.Reason)
}

func TestStart_HasNoneExpireForTheCrowdItIsIn(t *testing.T) {
	t.Parallel()
	a, due := newTenant(t).bursts(1), inAnHour()
	a.lateness(9, due)
	seen, err := a.due("expires", due, due.Add(4*time.Second))
	require.NoError(t, err)
	require.Equal(t, due.Add(2*time.Second), startsAt(seen))
}

func TestStart_CountsARepeatedRequestOnce(t *testing.T) {
	t.Parallel()
	a, due := newTenant(t).bursts(1), inAnHour()
	for range 5 {
		_, err := a.due("the_same", due, time.Time{})
		if err != nil {
			require.ErrorIs(t, err, executions.ErrExists)
		}
	}
	require.Equal(t, []time.Duration{time.Second}, a.lateness(1, due))
}

func TestStart_NeverPutsOffBeyondWhatTheEngineTakes(t *testing.T) {
	t.Parallel()
	a := newTenant(t).bursts(1)
	due := time.Now().UTC().Add(postdate.MaxDelay - time.Second)
	for n := range 5 {
		_, err := a.due(fmt.Sprint(n), due, time.Time{})
		require.NoError(t, err)
	}
}

// TestStart_KnowsOfThoseThatOthersAccepted has a process that was started later, or
// beside the first, go on where the crowd ends.
func TestStart_KnowsOfThoseThatOthersAccepted(t *testing.T) {
	t.Parallel()
	a, due := newTenant(t), inAnHour()
	a.bursts(2).lateness(8, due) // the last one three seconds late
	a.listed(8, postdate.Filter{})
	require.Equal(t, []time.Duration{7 * time.Second / 2, 4 * time.Second}, a.bursts(2).lateness(2, due))
}
