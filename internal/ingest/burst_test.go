package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

// inAnHour is a whole second: deliveries due at it and at the next one are two bursts.
func inAnHour() time.Time { return time.Now().UTC().Truncate(time.Second).Add(time.Hour) }

// withBurst is a tenant of a process that starts so many of a burst per second.
func withBurst(t *testing.T, perSecond int) *deliverytest.Tenant {
	t.Helper()
	return deliverytest.NewWith(t, deliverytest.Options{BurstPerSecond: perSecond})
}

// delays accepts so many deliveries that are due at a time, and returns how long after it
// they start.
func delays(a *deliverytest.Tenant, n int, due time.Time) []time.Duration {
	a.T.Helper()
	delays := make([]time.Duration, n)
	for i := range delays {
		delivery, err := a.Schedule(uuid.NewString(), due, time.Time{})
		require.NoError(a.T, err)
		delays[i] = delivery.NextAttemptAt.Sub(due)
	}
	return delays
}

func TestBurst_StartsSoManyPerSecond(t *testing.T) {
	t.Parallel()
	due := inAnHour()
	a, b := withBurst(t, 2), withBurst(t, 2)
	b.Ingester, b.Store = a.Ingester, a.Store
	require.Equal(t, []time.Duration{
		0, 0, time.Second / 2, time.Second, 3 * time.Second / 2, 2 * time.Second,
	}, delays(a, 6, due))
	require.Equal(t, []time.Duration{0, 0}, delays(b, 2, due), "another tenant's")
	require.Equal(t, []time.Duration{0, 0}, delays(a, 2, due.Add(time.Second)), "another second's")
}

func TestBurst_StartsAtOnceWhereItIsUnlimited(t *testing.T) {
	t.Parallel()
	require.Equal(t, make([]time.Duration, 5), delays(withBurst(t, 0), 5, inAnHour()))
}

func TestBurst_ShowsByHowMuchADeliveryIsDelayed(t *testing.T) {
	t.Parallel()
	a, due := withBurst(t, 1), inAnHour()
	delays(a, 3, due)
	_, err := a.Schedule("one_of_many", due, time.Time{})
	require.NoError(t, err)
	delivery, err := a.Get(t.Context(), a.Name, "one_of_many")
	require.NoError(t, err)
	require.Equal(t, due, delivery.DueAt)
	require.WithinDuration(t, due.Add(3*time.Second), delivery.NextAttemptAt, 100*time.Millisecond)
	require.Equal(t, "sleeps until it is due, and 3s longer: many of the tenant's are due at that moment", delivery.Reason)
}

func TestBurst_LetsNoDeliveryExpire(t *testing.T) {
	t.Parallel()
	a, due := withBurst(t, 1), inAnHour()
	delays(a, 9, due)
	delivery, err := a.Schedule("expires", due, due.Add(4*time.Second))
	require.NoError(t, err)
	require.Equal(t, due.Add(2*time.Second), delivery.NextAttemptAt)
}

func TestBurst_CountsARepeatedRequestOnce(t *testing.T) {
	t.Parallel()
	a, due := withBurst(t, 1), inAnHour()
	for range 5 {
		_, err := a.Schedule("the_same", due, time.Time{})
		if err != nil {
			require.ErrorIs(t, err, executions.ErrExists)
		}
	}
	require.Equal(t, []time.Duration{time.Second}, delays(a, 1, due))
}

func TestBurst_DelaysNothingBeyondTheLongestDelay(t *testing.T) {
	t.Parallel()
	a := withBurst(t, 1)
	due := time.Now().UTC().Add(postdate.MaxDelay - time.Second)
	for n := range 5 {
		_, err := a.Schedule(fmt.Sprint(n), due, time.Time{})
		require.NoError(t, err)
	}
}

// A process that was started later goes on where the burst ends.
func TestBurst_CountsWhatOtherProcessesAccepted(t *testing.T) {
	t.Parallel()
	a, due := deliverytest.New(t), inAnHour()
	delays(a.Process(deliverytest.Options{BurstPerSecond: 2}), 8, due) // the last by three seconds
	a.Listed(8, postdate.Filter{})
	require.Equal(t, []time.Duration{7 * time.Second / 2, 4 * time.Second}, delays(a.Process(deliverytest.Options{BurstPerSecond: 2}), 2, due))
}

// A process that has counted nothing yet knows the bursts from Temporal alone.
func TestBurst_ForgetsWhatWasCancelledOrMovedAndCountsItWhereItIsMovedTo(t *testing.T) {
	t.Parallel()
	a, due := withBurst(t, 1), inAnHour()
	later := due.Add(time.Minute)
	var ids []string
	for n := range 6 {
		delivery, err := a.Schedule(fmt.Sprint(n), due, time.Time{})
		require.NoError(t, err)
		ids = append(ids, delivery.ID)
	}
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, ids[2]))
	for _, id := range ids[3:] {
		require.NoError(t, a.Update(t.Context(), a.Name, id, protocol.UpdateReschedule, postdate.Change{DueAt: &later}))
	}
	a.Listed(2, postdate.Filter{State: postdate.Scheduled, DueBefore: &later})
	a.Listed(3, postdate.Filter{State: postdate.Scheduled, DueAfter: &later})
	b := a.Process(deliverytest.Options{BurstPerSecond: 1})
	require.Equal(t, []time.Duration{2 * time.Second}, delays(b, 1, due))
	require.Equal(t, []time.Duration{3 * time.Second}, delays(b, 1, later))
}

func TestBurst_CountsExecutions(t *testing.T) {
	t.Parallel()
	a, due := withBurst(t, 1), inAnHour()
	for n := range 3 {
		all := make([]ingest.Unnamed, 10)
		for i := range all {
			all[i].Input.Shipment = protocol.DeliveryTask{
				Message: postdate.Message{ID: "made", Tenant: a.Name, Type: "t"}, To: postdate.Destination{URL: "https://nobody.example"}, DueAt: due,
			}
			all[i].Accepted.At = time.Now()
		}
		for _, created := range a.StartAllUnnamed(t.Context(), all) {
			require.NoError(t, created.Err)
			require.Equal(t, time.Duration(n)*time.Second, created.Delivery.NextAttemptAt.Sub(due), "ten are one")
			read, err := a.Get(t.Context(), a.Name, created.Delivery.ID)
			require.NoError(t, err)
			require.WithinDuration(t, created.Delivery.NextAttemptAt, read.NextAttemptAt, time.Second)
		}
	}
	require.Equal(t, []time.Duration{3 * time.Second}, delays(a, 1, due), "with those that have names")
}
