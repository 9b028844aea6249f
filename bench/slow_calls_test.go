package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Unix(1_800_000_000, 0)

// at is a call from so many milliseconds after noon until so many.
func at(begin, end int) call {
	return call{begin: noon.Add(time.Duration(begin) * time.Millisecond), end: noon.Add(time.Duration(end) * time.Millisecond)}
}

func TestCalls_AtOnceAreThoseThatOverlap(t *testing.T) {
	t.Parallel()
	require.Zero(t, calls{}.most())
	require.Equal(t, 1, calls{at(0, 10), at(10, 20)}.most(), "one begins when the other is over")
	require.Equal(t, 2, calls{at(0, 10), at(9, 20), at(12, 13)}.most())
	some := calls{at(0, 10), at(5, 20), at(30, 40)}
	require.Len(t, some.between(noon.Add(10*time.Millisecond), noon.Add(30*time.Millisecond)), 1)
}

func TestCalls_WorkCountsPartsOfThoseAtTheEdges(t *testing.T) {
	t.Parallel()
	some := calls{at(0, 100), at(100, 200), at(200, 300)}
	require.InDelta(t, 2.0, some.work(noon.Add(50*time.Millisecond), noon.Add(250*time.Millisecond)), 1e-9)
	require.InDelta(t, 0.5, some.work(noon.Add(110*time.Millisecond), noon.Add(160*time.Millisecond)), 1e-9)
	require.Equal(t, 2, some.begun(noon, noon.Add(200*time.Millisecond)))
}

func TestCalls_WindowsAreTheFullestAndTheEmptiest(t *testing.T) {
	t.Parallel()
	some := calls{at(0, 1), at(10, 11), at(20, 21), at(50, 51), at(60, 61)}
	most, fewest := some.windows(25*time.Millisecond, noon, noon.Add(100*time.Millisecond))
	require.Equal(t, 3, most)
	require.Zero(t, fewest, "after the last")
	most, fewest = some.windows(25*time.Millisecond, noon, noon.Add(61*time.Millisecond))
	require.Equal(t, 3, most)
	require.Equal(t, 0, fewest, "from 21 to 46")
	_, fewest = some.windows(31*time.Millisecond, noon, noon.Add(61*time.Millisecond))
	require.Equal(t, 1, fewest)
}

func TestCRM_NotesHowManyItHoldsAndWhatItAccepted(t *testing.T) {
	t.Parallel()
	c, err := startCRM(t.Context(), 100*time.Millisecond)
	require.NoError(t, err)
	defer c.stop()
	items := newItems(12, "crm", c.url, time.Time{})
	require.NoError(t, publishAll(t.Context(), wire{copies: 1}, 4, items))
	require.NoError(t, c.wait(t.Context(), 12))
	duplicates, err := c.note(items)
	require.NoError(t, err)
	require.Zero(t, duplicates)
	require.Equal(t, 4, c.all().most())

	c.become(0, http.StatusServiceUnavailable)
	require.NoError(t, wire{copies: 1}.publish(t.Context(), &item{id: "refused", url: c.url}))
	require.Equal(t, 12, c.count(), "what it answers 503 to was not accepted")
	_, err = c.note(append(items, &item{id: "refused"}))
	require.ErrorContains(t, err, "lost: refused")
}

func TestCRM_ACallEndsWhenTheCallerIsGone(t *testing.T) {
	t.Parallel()
	c, err := startCRM(t.Context(), time.Minute)
	require.NoError(t, err)
	defer c.stop()
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- wire{copies: 1}.publish(ctx, &item{id: "cut", url: c.url}) }()
	time.AfterFunc(50*time.Millisecond, hangUp)
	require.Error(t, <-gone)
	<-c.news
	require.Len(t, c.all(), 1)
	require.Zero(t, c.count())
}
