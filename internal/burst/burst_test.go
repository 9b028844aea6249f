package burst_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/postdate/postdate/internal/burst"
)

const (
	inTime  = 100 * time.Millisecond
	fair    = 600 * time.Millisecond
	tooLate = 1200 * time.Millisecond
)

func newRate(t *testing.T, c burst.Config) *burst.Rate {
	t.Helper()
	r, err := burst.New(c)
	require.NoError(t, err)
	return r
}

// see has a rate observe n executions within a second, and returns what it is after that.
func see(r *burst.Rate, n, perSecond int, late time.Duration) int {
	for range n {
		r.Observe(perSecond, late)
		time.Sleep(time.Second / time.Duration(n))
	}
	return r.PerSecond()
}

func TestRate_FollowsWhatTheWorkersBeginInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRate(t, burst.Config{Max: 5000})
		require.Equal(t, 250, r.PerSecond())
		require.Equal(t, 312, see(r, 100, 250, inTime))
		require.Equal(t, 312, see(r, 100, 250, inTime), "the same again shows no more")
		require.Equal(t, 312, see(r, 100, 312, fair))
		require.Equal(t, 390, see(r, 100, 312, inTime))
		require.Equal(t, 351, see(r, 100, 390, tooLate))
		require.Equal(t, 351, see(r, 100, 390, tooLate), "the same again shows no more")
		require.Equal(t, 351, see(r, 100, 200, inTime), "fewer would not be late at any rate")
		require.Equal(t, 270, see(r, 100, 300, tooLate))
	})
}

func TestRate_KeepsToItsBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRate(t, burst.Config{Max: 1000})
		for range 20 {
			see(r, 20, r.PerSecond(), inTime)
		}
		require.Equal(t, 1000, r.PerSecond())
		for range 40 {
			see(r, 20, r.PerSecond(), tooLate)
		}
		require.Equal(t, 50, r.PerSecond())
		require.Equal(t, 62, see(r, 20, 50, inTime))

		r = newRate(t, burst.Config{Max: 20})
		require.Equal(t, 20, r.PerSecond())
		require.Equal(t, 20, see(r, 20, 20, tooLate))
		require.Equal(t, 20, see(r, 20, 20, inTime))
	})
}

func TestRate_BeginsWhereItIsSet(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2000, newRate(t, burst.Config{Max: 5000, First: 2000}).PerSecond())
	require.Equal(t, 100, newRate(t, burst.Config{Max: 100, First: 2000}).PerSecond())
}

func TestRate_LetsAllGoAtOnceWhereItHasNoBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRate(t, burst.Config{})
		require.Zero(t, see(r, 100, 250, tooLate))
	})
}

// A few executions may be late for reasons of their own.
func TestRate_NeedsSeveralExecutions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRate(t, burst.Config{Max: 5000})
		require.Equal(t, 250, see(r, 9, 250, tooLate))
		time.Sleep(time.Minute)
		require.Equal(t, 250, see(r, 9, 250, tooLate), "those of a minute before are forgotten")
		require.Equal(t, 225, see(r, 9, 250, tooLate), "those of two seconds count together")
		see(r, 30, 225, inTime)
		r.Observe(281, tooLate)
		require.Equal(t, 281, see(r, 10, 281, fair), "one of eleven")
	})
}

// What shows the rate is what began, also where nobody asks for it until much later.
func TestRate_IsFoundAfterTheBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRate(t, burst.Config{Max: 5000})
		for range 20 {
			r.Observe(250, inTime)
		}
		require.Equal(t, 250, r.PerSecond(), "the others of this second may be late")
		time.Sleep(time.Hour)
		r.Observe(250, tooLate)
		require.Equal(t, 312, r.PerSecond())
	})
}

func TestRate_IsMeasured(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	newRate(t, burst.Config{Max: 200, Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")})
	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &collected))
	measured := collected.ScopeMetrics[0].Metrics[0]
	require.Equal(t, "postdate_tenant_burst_per_second", measured.Name)
	gauge, ok := measured.Data.(metricdata.Gauge[int64])
	require.True(t, ok)
	require.EqualValues(t, 200, gauge.DataPoints[0].Value)
}
