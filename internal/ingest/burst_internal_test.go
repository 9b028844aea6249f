package ingest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// countFake is what Temporal counts of a burst.
type countFake struct{ undelayed, delayed, counts int }

func (f *countFake) count(_ context.Context, condition string) (int, error) {
	f.counts++
	if strings.Contains(condition, "ExecutionTime") {
		return f.undelayed, nil
	}
	return f.delayed, nil
}

// accept accepts n deliveries that are due then, and returns the delay of the last.
func accept(t *testing.T, l *burstLimiter, n int, due time.Time) (delay time.Duration) {
	t.Helper()
	for range n {
		delay = l.delay(t.Context(), "acme", due)
	}
	return delay
}

func TestBurst_ShrinksByWhatWasCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &countFake{}
		l := newBurstLimiter(10, temporal.count, time.Now)
		due := time.Now().Add(time.Hour)
		require.Equal(t, 99*time.Second, accept(t, l, 1000, due))
		temporal.undelayed, temporal.delayed = 10, 990
		time.Sleep(time.Minute)
		require.Equal(t, 99*time.Second+100*time.Millisecond, accept(t, l, 1, due))

		temporal.undelayed, temporal.delayed = 0, 0
		time.Sleep(time.Minute)
		require.Zero(t, accept(t, l, 10, due))
		require.Equal(t, 100*time.Millisecond, accept(t, l, 1, due))
	})
}

func TestBurst_CountsWhatWasMovedIntoItsSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &countFake{}
		l := newBurstLimiter(10, temporal.count, time.Now)
		due := time.Now().Add(time.Hour)
		accept(t, l, 1, due)
		temporal.undelayed = 501 // 500 were moved there
		time.Sleep(countAge)
		require.Equal(t, 49*time.Second+200*time.Millisecond, accept(t, l, 1, due))
	})
}

// What Temporal's lists do not show yet is neither lost nor counted twice.
func TestBurst_IsExactWhileCountsAreBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &countFake{}
		l := newBurstLimiter(10, temporal.count, time.Now)
		due := time.Now().Add(time.Hour)
		for second := range 60 {
			want := time.Duration(max(0, 50*second+50-10)) * time.Second / 10
			require.Equal(t, want, accept(t, l, 50, due))
			time.Sleep(time.Second)
			temporal.undelayed, temporal.delayed = 10, max(0, 50*(second-2)-10) // three seconds behind
			if second < 3 {
				temporal.undelayed = 0
			}
		}
		require.Positive(t, temporal.counts)
		require.LessOrEqual(t, temporal.counts, 2*60*countsPerSecond)
	})
}
