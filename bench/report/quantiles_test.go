package report

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestPercentile_IsATimeThatWasMeasured(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred[:99], 99, 99},
		{hundred[:1], 0, 1},
		{hundred[:1], 50, 1},
		{hundred[:2], 50, 1},
		{hundred[:3], 50, 2},
	} {
		require.Equal(t, c.want, percentile(c.sorted, c.p), "p%d of %d", c.p, len(c.sorted))
	}
}

func TestQuantiles_AreOfUnsortedTimesInMilliseconds(t *testing.T) {
	t.Parallel()
	times := []time.Duration{30 * time.Millisecond, 10*time.Millisecond + 4*time.Microsecond, 20 * time.Millisecond}
	require.Equal(t, &Quantiles{P50: 20, P99: 30, Max: 30}, QuantilesOf(times))
	require.InDelta(t, 10.0, QuantilesOf(times[1:2]).Max, 0, "to the hundredth")
	require.Equal(t, 30*time.Millisecond, times[0], "the times stay in their order")
	require.Nil(t, QuantilesOf(nil))
}

func TestRates_OfNothingAreZero(t *testing.T) {
	t.Parallel()
	require.Zero(t, PerSecond(10, 0))
	require.Zero(t, MillisEach(0, 0))
	require.InDelta(t, 333.33, PerSecond(1000, 3*time.Second), 0)
	require.InDelta(t, 4.5, MillisEach(9*time.Millisecond, 2), 0)
	require.InDelta(t, 1.5, Mebibytes(3<<19), 0)
}

func TestLateness_CountsFromTheDueTimeAndKnowsTheFirst(t *testing.T) {
	t.Parallel()
	due := time.Unix(1_800_000_000, 0)
	messages := []*rig.Message{{Due: due, Received: due.Add(30 * time.Millisecond)}, {Due: due, Received: due.Add(20 * time.Millisecond)}}
	require.Equal(t, &Quantiles{First: 20, P50: 20, P99: 30, Max: 30}, LatenessOf(messages))
	require.Nil(t, LatenessOf(nil))
}
