package rig

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Unix(1_800_000_000, 0)

// callAt is a call from so many milliseconds after noon until so many.
func callAt(begin, end int) Call { return Call{Begin: afterNoon(begin), End: afterNoon(end)} }

func afterNoon(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

func TestCalls_InFlightAreThoseThatOverlap(t *testing.T) {
	t.Parallel()
	require.Zero(t, Calls{}.MostInFlight())
	require.Equal(t, 1, Calls{callAt(0, 10), callAt(10, 20)}.MostInFlight(), "one begins when the other is over")
	require.Equal(t, 2, Calls{callAt(0, 10), callAt(9, 20), callAt(12, 13)}.MostInFlight())
	calls := Calls{callAt(0, 10), callAt(5, 20), callAt(30, 40)}
	require.Len(t, calls.Between(afterNoon(10), afterNoon(30)), 1)
}

func TestCalls_WorkCountsPartsOfThoseAtTheEdges(t *testing.T) {
	t.Parallel()
	calls := Calls{callAt(0, 100), callAt(100, 200), callAt(200, 300)}
	require.InDelta(t, 2.0, calls.Work(afterNoon(50), afterNoon(250)), 1e-9)
	require.InDelta(t, 0.5, calls.Work(afterNoon(110), afterNoon(160)), 1e-9)
	require.Equal(t, 2, calls.Begun(noon, afterNoon(200)))
}

func TestCalls_WindowsAreTheFullestAndTheEmptiest(t *testing.T) {
	t.Parallel()
	calls := Calls{callAt(0, 1), callAt(10, 11), callAt(20, 21), callAt(50, 51), callAt(60, 61)}
	most, fewest := calls.Windows(25*time.Millisecond, noon, afterNoon(100))
	require.Equal(t, 3, most)
	require.Zero(t, fewest, "after the last")
	most, fewest = calls.Windows(25*time.Millisecond, noon, afterNoon(61))
	require.Equal(t, 3, most)
	require.Equal(t, 0, fewest, "from 21 to 46")
	_, fewest = calls.Windows(31*time.Millisecond, noon, afterNoon(61))
	require.Equal(t, 1, fewest)
}

func TestCalls_FirstAcceptedSkipsEarlierAndRefusedOnes(t *testing.T) {
	t.Parallel()
	calls := Calls{callAt(0, 10), callAt(20, 25), callAt(40, 45), callAt(30, 35)}
	calls[0].Accepted, calls[2].Accepted, calls[3].Accepted = true, true, true
	require.Equal(t, afterNoon(30), calls.FirstAccepted(afterNoon(5)))
	require.Zero(t, calls.FirstAccepted(afterNoon(50)))
}
