package ingest

import (
	"bytes"
	"context"
	"log/slog"
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

// limiterOf is a limiter that has ten start per second.
func limiterOf(temporal *countFake, log slog.Handler) *burstLimiter {
	return newBurstLimiter(func() int { return 10 }, temporal.count, time.Now, slog.New(log))
}

// accept accepts n deliveries that are due then, and returns the delay of the last.
func accept(t *testing.T, l *burstLimiter, n int, due time.Time) (delay time.Duration) {
	t.Helper()
	for range n {
		delay, _ = l.delay(t.Context(), "acme", due)
	}
	return delay
}

func TestBurst_ShrinksByWhatWasCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &countFake{}
		l := limiterOf(temporal, slog.DiscardHandler)
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
		l := limiterOf(temporal, slog.DiscardHandler)
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
		l := limiterOf(temporal, slog.DiscardHandler)
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

// What is woken at once is a hundred times as much work where a hundred share it.
func TestBurst_SpreadsGroupsByWhatTheyHold(t *testing.T) {
	t.Parallel()
	temporal := &countFake{}
	l := limiterOf(temporal, slog.DiscardHandler)
	due := time.Now().Add(time.Hour)
	delayOf := func(tenant string, messages int) time.Duration {
		delay, _ := l.delayGroup(t.Context(), tenant, due, messages)
		return delay
	}
	for n := range 5 {
		require.Equal(t, time.Duration(n)*500*time.Millisecond, delayOf("acme", 100))
	}
	l.removeGroup("acme", due, 100)
	require.Equal(t, 2*time.Second, delayOf("acme", 1), "those that were not started do not count")
	require.Zero(t, accept(t, l, 1, due), "what is woken alone does not wait for what groups hold")
	require.Zero(t, delayOf("other", 100))
}

// Only what starts after many others of its burst shows whether the workers can do so many.
func TestBurst_ShowsAsManyAsHaveStarted(t *testing.T) {
	t.Parallel()
	l := limiterOf(&countFake{}, slog.DiscardHandler)
	due := time.Now().Add(time.Hour)
	var alone, groups []int
	for range 12 {
		_, shows := l.delay(t.Context(), "acme", due)
		alone = append(alone, shows)
	}
	require.Equal(t, []int{0, 0, 0, 0, 0, 0, 0, 8, 9, 10, 10, 10}, alone)
	for range 4 {
		_, shows := l.delayGroup(t.Context(), "other", due, 100)
		groups = append(groups, shows)
	}
	require.Equal(t, []int{0, 10, 10, 10}, groups, "a group shows as much as it costs")
}

// Those of a burst that come later do not overtake each other where the rate has changed.
func TestBurst_KeepsTheRateWithWhichItBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal, perSecond := &countFake{}, 10
		l := newBurstLimiter(func() int { return perSecond }, temporal.count, time.Now, slog.New(slog.DiscardHandler))
		due := time.Now().Add(time.Hour)
		require.Equal(t, 2*time.Second, accept(t, l, 30, due))
		perSecond = 100
		require.Equal(t, 2100*time.Millisecond, accept(t, l, 1, due))
		require.Equal(t, 300*time.Millisecond, accept(t, l, 130, due.Add(time.Second)), "another one begins with the new rate")

		l.bursts, l.older = make(map[second]*burst), nil // it is forgotten
		time.Sleep(time.Second)                          // it may be counted
		temporal.undelayed, temporal.delayed = 10, 21
		require.Zero(t, accept(t, l, 69, due))
		require.Equal(t, 10*time.Millisecond, accept(t, l, 1, due))
	})
}

func TestBurst_TellsOnceThatItIsPutOffForLong(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	temporal := &countFake{}
	l := limiterOf(temporal, slog.NewTextHandler(&log, nil))
	due := time.Now().Add(time.Hour)
	require.Equal(t, time.Minute, accept(t, l, 610, due))
	require.Empty(t, log.String())
	accept(t, l, 50, due)
	require.Equal(t, 1, strings.Count(log.String(), "tenant=acme"))
	accept(t, l, 700, due.Add(time.Second))
	require.Equal(t, 2, strings.Count(log.String(), "tenant=acme"))
}
