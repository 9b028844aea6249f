package ingest_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/ingest"
)

// file is an import of a tenant, which is sent again and again.
type file struct {
	*deliverytest.Tenant

	aged bool
	due  func(line int) time.Time
}

func newFile(t *testing.T) *file {
	t.Helper()
	due := time.Now().UTC().Add(time.Hour).Truncate(time.Second)
	return &file{Tenant: deliverytest.New(t), due: func(int) time.Time { return due }}
}

// lines are those from one to another.
func (f *file) lines(from, to int, change ...func(*ingest.Line)) []ingest.Line {
	var lines []ingest.Line
	for number := from; number <= to; number++ {
		line := f.Line(number, "file", f.due(number))
		for _, each := range change {
			each(&line)
		}
		lines = append(lines, line)
	}
	return lines
}

// span is one that knows nothing yet, as of a connection that has just begun.
func (f *file) span(line int) *ingest.ImportSpan {
	return ingest.NewImportSpan(ingest.NewImport(f.Name, "file", f.aged), line)
}

// send sends lines over a new connection.
func (f *file) send(lines []ingest.Line) []ingest.ImportedLine {
	return f.AcceptLines(f.T.Context(), f.span(lines[0].Number), lines)
}

// isThere holds that lines exist, or were created just now, and returns their ids.
func isThere(t *testing.T, results []ingest.ImportedLine, exists bool) (ids []string) {
	t.Helper()
	for n, r := range results {
		require.NoError(t, r.Err, "%d", n)
		require.Equal(t, exists, r.Exists, "%d", n)
		require.False(t, r.Changed, "%d", n)
		ids = append(ids, r.ID)
	}
	return ids
}

// groupsOf are the groups that ids say.
func groupsOf(ids []string) map[string]int {
	groups := make(map[string]int)
	for _, id := range ids {
		groups[id[:strings.LastIndex(id, "_")]]++
	}
	return groups
}

func TestImport_LinesOfAHundredShareAnExecution(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	ids := isThere(t, f.send(f.lines(1, 100)), false)
	require.Len(t, groupsOf(ids), 1)
	require.Equal(t, ids, isThere(t, f.send(f.lines(1, 100)), true), "again")
	require.Equal(t, ids[40:60], isThere(t, f.send(f.lines(41, 60)), true), "from the middle on")
	next := isThere(t, f.send(f.lines(101, 200)), false)
	require.Len(t, groupsOf(append(next, ids...)), 2)
	read, err := f.Get(t.Context(), f.Name, ids[7])
	require.NoError(t, err)
	require.Equal(t, "file", read.Import)
	require.Equal(t, f.due(8), read.DueAt)
	require.Len(t, f.Listed(200, postdate.Filter{Import: "file"}), 200)
	f.Listed(0, postdate.Filter{Import: "other"})
}

// A client that is slow sends a hundred in pieces, and later the whole of it.
func TestImport_OfPiecesAndThenOfTheWholeMakesNothingTwice(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	span := f.span(1)
	var ids []string
	for _, piece := range [][2]int{{1, 3}, {4, 4}, {5, 50}} {
		ids = append(ids, isThere(t, f.AcceptLines(t.Context(), span, f.lines(piece[0], piece[1])), false)...)
	}
	require.Len(t, groupsOf(ids), 3, "nothing waits for company")
	results := f.send(f.lines(1, 100))
	require.Equal(t, ids, isThere(t, results[:50], true))
	ids = append(ids, isThere(t, results[50:], false)...)
	require.Len(t, groupsOf(ids), 4)
	require.Equal(t, ids[60:], isThere(t, f.send(f.lines(61, 100)), true), "as a client that resumes sends them")
	f.Listed(100, postdate.Filter{})
}

func TestImport_LinesDueAtOtherTimesHaveOtherExecutions(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	due := f.due(0)
	f.due = func(line int) time.Time { return due.Add(time.Duration(line%4) * time.Minute) }
	ids := isThere(t, f.send(f.lines(1, 20)), false)
	require.Len(t, groupsOf(ids), 4)
	require.Equal(t, ids, isThere(t, f.send(f.lines(1, 20)), true))
	for n, id := range ids {
		read, err := f.Get(t.Context(), f.Name, id)
		require.NoError(t, err)
		require.Equal(t, f.due(n+1), read.DueAt)
	}
}

func TestImport_ALineThatChangedIsFound(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	ids := isThere(t, f.send(f.lines(1, 10)), false)
	for name, change := range map[string]func(*ingest.Line){
		"other data":   func(l *ingest.Line) { l.Accepted.Digest += "changed" },
		"another time": func(l *ingest.Line) { l.Accepted.Digest += "!"; l.Input.Shipment.DueAt = f.due(0).Add(time.Hour) },
		"refused by now": func(l *ingest.Line) {
			l.Accepted.Digest += "?"
			l.Refused = postdate.Errorf(postdate.Invalid, "", "no")
		},
	} {
		for n, r := range f.send(f.lines(1, 10, change)) {
			require.True(t, r.Changed, "%s: %+v", name, r)
			require.Equal(t, ids[n], r.ID)
		}
	}
	f.Listed(10, postdate.Filter{})
}

// What cannot be taken any more is answered as it was, where it was taken.
func TestImport_WhatIsRefusedMayBeThere(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	ids := isThere(t, f.send(f.lines(1, 10)), false)
	refused := func(l *ingest.Line) { l.Refused = postdate.Errorf(postdate.Invalid, "", "it would have expired") }
	results := f.send(f.lines(1, 12, refused))
	require.Equal(t, ids, isThere(t, results[:10], true))
	for _, r := range results[10:] {
		require.ErrorContains(t, r.Err, "expired")
	}
	f.Listed(10, postdate.Filter{})
}

func TestImport_TheSameTwiceAtOnceMakesEachOnce(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	due := f.due(0)
	f.due = func(line int) time.Time { return due.Add(time.Duration(line%3) * time.Minute) }
	var mu sync.Mutex
	var sending sync.WaitGroup
	created, ids := 0, make(map[int]map[string]bool)
	for _, pieces := range [][]int{{1, 101}, {1, 30, 101}, {1, 7, 60, 101}, {1, 101}} {
		sending.Go(func() {
			span := f.span(1)
			for n := range len(pieces) - 1 {
				lines := f.lines(pieces[n], pieces[n+1]-1)
				results := f.AcceptLines(t.Context(), span, lines)
				mu.Lock()
				for n, r := range results {
					if !r.Exists {
						created++
					}
					if ids[lines[n].Number] == nil {
						ids[lines[n].Number] = make(map[string]bool)
					}
					ids[lines[n].Number][r.ID] = true
				}
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	require.Equal(t, 100, created)
	require.Len(t, ids, 100)
	for line, of := range ids {
		require.Len(t, of, 1, "line %d", line)
	}
	f.Listed(100, postdate.Filter{})
}

// A group that was deleted, long after its schedules were delivered, does not hide what
// sleeps on behind it.
func TestImport_WhatIsForgottenHidesNothing(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	span := f.span(1)
	first := isThere(t, f.AcceptLines(t.Context(), span, f.lines(1, 10)), false)
	second := isThere(t, f.AcceptLines(t.Context(), span, f.lines(11, 60)), false)
	deliverytest.Forget(t, "schedules/"+f.Name+"/"+strings.TrimPrefix(first[0], "sch_")[:32])
	f.aged = true
	results := f.send(f.lines(1, 100))
	require.Equal(t, second, isThere(t, results[10:60], true))
	isThere(t, results[:10], false)
	isThere(t, results[60:], false)
	isThere(t, f.send(f.lines(1, 100)), true)
	f.Listed(100, postdate.Filter{})
}

// few admits so many schedules.
type few struct {
	mu   sync.Mutex
	left int64
}

func (q *few) Admit(_ context.Context, _ string, messages, _ int64) (release func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if messages > q.left {
		return nil, postdate.Errorf(postdate.QuotaPending, "", "too many")
	}
	q.left -= messages
	return func() { q.mu.Lock(); defer q.mu.Unlock(); q.left += messages }, nil
}

func TestImport_AQuotaRefusesWhatIsNotThereYet(t *testing.T) {
	t.Parallel()
	quota := &few{left: 25}
	f := newFile(t)
	f.Tenant = f.Process(deliverytest.Options{Quotas: quota})
	results := f.send(f.lines(1, 40))
	ids := isThere(t, results[:25], false)
	for _, r := range results[25:] {
		require.Equal(t, postdate.QuotaPending, postdate.CodeOf(r.Err))
	}
	results = f.send(f.lines(1, 40))
	require.Equal(t, ids, isThere(t, results[:25], true), "what is there is answered, whatever the tenant has besides")
	require.Equal(t, postdate.QuotaPending, postdate.CodeOf(results[30].Err))
	require.Zero(t, quota.left)
	quota.left = 100
	isThere(t, f.send(f.lines(1, 40))[25:], false)
	require.EqualValues(t, 85, quota.left, "what exists is taken from it once")
	unnamed := make([]ingest.Unnamed, 90)
	for n := range unnamed {
		unnamed[n] = f.Line(n+1, "", f.due(0)).Unnamed
	}
	accepted := 0
	for _, created := range f.AcceptAllUnnamed(t.Context(), unnamed) {
		if created.Err == nil {
			accepted++
		} else {
			require.Equal(t, postdate.QuotaPending, postdate.CodeOf(created.Err))
		}
	}
	require.Equal(t, 85, accepted)
}
