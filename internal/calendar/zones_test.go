package calendar

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// oddZones are those whose clocks change at midnight, by other than an hour, by
// a day, twice in a month, in the other direction, or did.
var oddZones = []string{
	"Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "Africa/Windhoek", "America/Asuncion", "America/Caracas",
	"America/Havana", "America/New_York", "America/Santiago", "America/Sao_Paulo", "America/Scoresbysund",
	"America/St_Johns", "Antarctica/Casey", "Antarctica/Troll", "Asia/Amman", "Asia/Beirut", "Asia/Gaza",
	"Asia/Pyongyang", "Asia/Tehran", "Atlantic/Azores", "Australia/Lord_Howe", "Australia/Sydney", "Europe/Berlin",
	"Europe/Dublin", "Europe/Istanbul", "Europe/Moscow", "Europe/Volgograd", "Pacific/Apia", "Pacific/Kwajalein",
	"Pacific/Norfolk", "Pacific/Tongatapu", "UTC",
}

// TestClocks_FindEveryInstantInOrder looks at each change of clocks from 1980 to
// 2050 and turns local times around it into instants one by one.
func TestClocks_FindEveryInstantInOrder(t *testing.T) {
	t.Parallel()
	for _, name := range oddZones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc, err := LoadZone(name)
			require.NoError(t, err)
			z := zone{loc}
			last := time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
			for s := z.spanAt(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC).Unix()); s.end < last; s = z.spanAt(s.end) {
				assertEveryInstant(t, z, s.end)
			}
		})
	}
}

func assertEveryInstant(t *testing.T, z zone, change int64) {
	t.Helper()
	twenty := &crontab{
		times: clock{hours: allHours, minutes: 1 | 1<<20 | 1<<40, seconds: 1}, months: 1<<13 - 2,
		monthDays: 1<<32 - 2, weekDays: 1<<7 - 1, anyMonthDay: true, anyWeekDay: true,
	}
	jump := z.spanAt(change).offset - z.spanAt(change-1).offset
	around := max(jump, -jump) + 3*60*60
	for _, gap := range []postdate.Gap{postdate.GapShift, postdate.GapSkip} {
		for _, repeat := range []postdate.Repeat{postdate.RepeatFirst, postdate.RepeatBoth} {
			var want []int64
			for w := wall(change - around - farthest); w < wall(change+around+farthest); w += 1200 - w%1200 {
				want = append(want, oneByOne(z, w, gap, repeat)...)
			}
			slices.Sort(want)
			want = slices.DeleteFunc(slices.Compact(want), func(at int64) bool { return at <= change-around || at > change+around })

			var got []int64
			c := clocks{zone: z, gap: gap, repeat: repeat}
			for h, ok := c.next(twenty, change-around, change+around); ok; h, ok = c.next(twenty, h.at, change+around) {
				got = append(got, h.at)
			}
			require.Equal(t, want, got, "%s at %s, %s, %s", z, time.Unix(change, 0).UTC(), gap, repeat)
		}
	}
}

// oneByOne is the instants of one local time.
func oneByOne(z zone, w wall, gap postdate.Gap, repeat postdate.Repeat) []int64 {
	found := z.instants(w)
	switch {
	case len(found) == 0 && gap == postdate.GapShift:
		_, _, instant := z.gap(w)
		return []int64{instant}
	case repeat == postdate.RepeatFirst:
		return found[:min(1, len(found))]
	default:
		return found
	}
}

// TestZone_EndsItsSpansInTheFuture would not end where one of them did not. The
// last day of leap years is one on which Go's own bounds do not.
func TestZone_EndsItsSpansInTheFuture(t *testing.T) {
	t.Parallel()
	for _, name := range oddZones {
		loc, err := LoadZone(name)
		require.NoError(t, err)
		z := zone{loc}
		for year := 2030; year < 2120; year++ {
			for _, hour := range []int{0, 6, 12, 18, 23} {
				at := time.Date(year, 12, 31, hour, 59, 59, 0, time.UTC).Unix()
				s := z.spanAt(at)
				require.True(t, s.start <= at && at < s.end, "%s in %d: %+v", name, year, s)
				require.Equal(t, s.offset, z.spanAt(s.end-1).offset, "%s in %d", name, year)
			}
		}
	}
}

func TestZone_KnowsClocksAtTheEndsOfTime(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTC", "America/New_York", "Asia/Kolkata"} {
		loc, err := LoadZone(name)
		require.NoError(t, err)
		z := zone{loc}
		for _, year := range []int{1, 1800, 2500, 9999} {
			at := time.Date(year, 7, 1, 12, 0, 0, 0, loc)
			assert.Equal(t, []int64{at.Unix()}, z.instants(wallOf(postdate.LocalTimeOf(at))), "%s in %d", name, year)
		}
	}
}
