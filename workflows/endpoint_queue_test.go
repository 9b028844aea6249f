package workflows

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/protocol"
)

var queueStart = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// naiveQueue does the same as a queue, by looking at every line each time.
type naiveQueue []*queued

func (n naiveQueue) sum(of func(*queued) bool) (sum int) {
	for _, line := range n {
		if of(line) {
			sum += line.remaining()
		}
	}
	return sum
}

func (n naiveQueue) late(drained func(int) time.Time, latest time.Time) bool {
	ahead := 0
	for _, line := range n {
		ahead += line.remaining()
		at := drained(ahead)
		if at.After(latest) || line.Expires > 0 && at.UnixMilli() > line.Expires {
			return true
		}
	}
	return false
}

func requireSame(t *testing.T, naive naiveQueue, q *queue, now time.Time) {
	t.Helper()
	require.Equal(t, []*queued(naive), slices.Collect(q.all()))
	require.Equal(t, naive.sum(func(*queued) bool { return true }), q.waiting)
	woken := func(l *queued) bool { return isWoken(l.QueuedLine, now) }
	require.Equal(t, naive.sum(woken), q.wokenWaiting)
	require.Len(t, q.woken, len(slices.DeleteFunc(slices.Clone(naive), func(l *queued) bool { return !woken(l) })))
	for i, line := range naive {
		at, ok := q.at(i)
		require.True(t, ok)
		require.Same(t, line, at)
		require.Equal(t, naive[:i].sum(func(*queued) bool { return true }), q.ahead(line))
	}
	for _, perSecond := range []float64{1, 10, 100, 1000} {
		drained := func(n int) time.Time { return protocol.DrainedAt(now, n, perSecond) }
		require.Equal(t, naive.late(drained, now.Add(longQueue)), q.late(drained, now.Add(longQueue)))
	}
}

func TestQueue_DoesWhatLookingAtEveryLineWouldDo(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	q, naive, now := newQueue(nil, queueStart), naiveQueue(nil), queueStart
	add := func(i int) {
		since := now.Add(-time.Duration(random.IntN(600)) * time.Second).UnixMilli()
		line := q.insert(protocol.QueuedLine{
			ID: fmt.Sprint(i), Waiting: 1 + random.IntN(100), Since: since, Expires: since + int64(random.IntN(3_600_000)),
		})
		at := slices.IndexFunc(naive, func(other *queued) bool { return other.Since > since })
		if at < 0 {
			at = len(naive)
		}
		naive = slices.Insert(naive, at, line)
	}
	for i := range 6000 {
		now = now.Add(time.Duration(random.IntN(200)) * time.Millisecond)
		q.expireWakes(now)
		switch dice := random.IntN(10); {
		case dice < 6 || len(naive) == 0:
			add(i)
		case dice < 7:
			at := random.IntN(len(naive))
			q.remove(naive[at])
			naive = slices.Delete(naive, at, at+1)
		case dice < 8:
			q.supersede(naive[random.IntN(len(naive))], random.IntN(protocol.MaxLine))
		default:
			q.wake(naive[random.IntN(min(50, len(naive)))], now)
		}
		if i%500 == 499 {
			requireSame(t, naive, q, now)
		}
	}
	require.Greater(t, len(q.blocks), 10)
	again := newQueue(q.snapshot(), now)
	require.Equal(t, q.snapshot(), again.snapshot())
	require.Equal(t, q.waiting, again.waiting)
	require.Equal(t, q.wokenWaiting, again.wokenWaiting)
	for len(naive) > 0 {
		q.remove(naive[0])
		naive = naive[1:]
	}
	require.Zero(t, q.len()+q.waiting+q.wokenWaiting+len(q.blocks)+len(q.woken))
}

// BenchmarkEndpoint is the price of one line that joins and leaves, with the decision
// that follows each, among so many that wait.
func BenchmarkEndpoint(b *testing.B) {
	for _, lines := range []int{100, 1000, maxLines - 1} {
		b.Run(fmt.Sprintf("lines=%d", lines), func(b *testing.B) {
			e := &endpoint{queue: newQueue(nil, queueStart)}
			e.Known, e.Settings.State, e.Settings.Coalesce = true, "enabled", true
			e.Settings.Pace.InFlight, e.Recent.Answered, e.Recent.LatencyMS = 10, 10, 10_000
			status := func(i int) protocol.LineStatus {
				s := protocol.LineStatus{ID: fmt.Sprintf("ln_%027d", i), Waiting: 100, Since: queueStart.Add(time.Duration(i) * time.Millisecond)}
				s.ExpiresAt = s.Since.Add(1000 * time.Hour)
				for key := range 100 {
					s.Keys = append(s.Keys, fmt.Sprintf("entity-%d-%d", i, key))
				}
				return s
			}
			for i := range lines {
				e.upsert(status(i), queueStart, false)
			}
			joins := status(lines)
			b.ReportAllocs()
			for b.Loop() {
				e.upsert(joins, queueStart, false)
				e.evaluate(nil, queueStart)
				e.remove(joins.ID)
				e.evaluate(nil, queueStart)
			}
		})
	}
}
