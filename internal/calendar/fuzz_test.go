package calendar_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/calendar"
)

var fuzzZones = []string{
	"UTC", "America/Sao_Paulo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca",
	"America/St_Johns", "Europe/Berlin", "America/Havana", "Antarctica/Troll",
}

// FuzzRule_GoesForward holds any rule that compiles to what holds for all: the
// next tick is later, and which ticks there are does not depend on where one
// begins to look.
func FuzzRule_GoesForward(f *testing.F) {
	for i, rule := range []string{
		"0 9 L * *", "*/15 * * * *", "30 1,2 * * SUN", "0 0 29 2 *", "0 9 LW,15W * FRI#5", "@daily", "59 23 31 12 *", "0 0 30 2 *",
		"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU", "FREQ=HOURLY;INTERVAL=5",
		"FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU,MO", "FREQ=DAILY;COUNT=100;BYHOUR=1,2;BYMINUTE=30", "FREQ=MINUTELY;INTERVAL=7;BYHOUR=2",
		"FREQ=DAILY;UNTIL=20361101T053000Z", "FREQ=SECONDLY;INTERVAL=86399", "36h", "24h", "1s", "100h1s",
	} {
		for zone := range fuzzZones {
			f.Add(rule, uint8(zone), uint8(i*7+zone*11), int64(1_793_000_000+i*3_333_333), uint32(i*977_777))
		}
	}
	all := calendars(f)
	f.Fuzz(func(t *testing.T, text string, zone, choices uint8, start int64, later uint32) {
		const year9000 = 221_845_392_000
		start = min(max(start, -year9000/100), year9000)
		rule, err := calendar.Compile(fuzzed(text, zone, choices, start), all)
		if err != nil {
			return
		}
		after := postdate.Tick{Moment: postdate.Moment{DueAt: time.Unix(start+int64(later)-1000, 0).UTC()}}
		found := slices.Collect(first(rule, after, 8))
		for i, tick := range found {
			require.True(t, tick.DueAt.After(after.DueAt), "%s is after %s", tick.DueAt, after.DueAt)
			require.Equal(t, i+1, tick.Number)
			require.Zero(t, tick.DueAt.Nanosecond())
			require.False(t, tick.DueAt.Before(time.Unix(start, 0)))
			after = tick
		}
		// From each moment between two ticks, the same ones follow.
		for i := 1; i < len(found); i++ {
			between := found[i-1].DueAt.Add(found[i].DueAt.Sub(found[i-1].DueAt) / 2)
			for _, moment := range []time.Time{found[i-1].DueAt, between, found[i].DueAt.Add(-time.Nanosecond)} {
				next, ok := rule.Next(postdate.Tick{Moment: postdate.Moment{DueAt: moment}})
				require.True(t, ok)
				require.Equal(t, found[i].Moment, next.Moment, "after %s", moment)
			}
		}
	})
}

func fuzzed(text string, zone, choices uint8, start int64) postdate.Recurrence {
	at, name := time.Unix(start, 0).UTC(), fuzzZones[int(zone)%len(fuzzZones)]
	r := postdate.Recurrence{StartAt: &at, TimeZone: &name}
	every, err := postdate.ParseDuration(text)
	switch {
	case err == nil:
		r.Every = &every
	case len(text) > 4 && text[:4] == "FREQ":
		r.RRule = &text
	default:
		r.Cron = &text
	}
	if choices&1 == 1 && r.Every == nil {
		r.DST = &postdate.DST{
			Gap:     []postdate.Gap{postdate.GapShift, postdate.GapSkip}[choices>>1&1],
			Overlap: []postdate.Repeat{postdate.RepeatFirst, postdate.RepeatBoth}[choices>>2&1],
		}
	}
	if choices&8 == 8 {
		r.Except = postdate.Except{[]string{"uk_banks", "gulf", "year_end", "2026-11-01"}[choices>>4&3]}
		r.Shift = []postdate.Shift{postdate.ShiftSkip, postdate.ShiftNext, postdate.ShiftPrevious, ""}[choices>>6&3]
	}
	return r
}

// first yields n ticks at most.
func first(rule *calendar.Rule, after postdate.Tick, n int) func(yield func(postdate.Tick) bool) {
	return func(yield func(postdate.Tick) bool) {
		left := n
		for tick := range rule.Ticks(after) {
			if left == 0 || !yield(tick) {
				return
			}
			left--
		}
	}
}

// FuzzResolve_TakesAnyText holds one local time to what clocks show at its instant.
func FuzzResolve_TakesAnyText(f *testing.F) {
	for zone := range fuzzZones {
		f.Add("2026-11-01T01:30:00", uint8(zone))
		f.Add("2027-03-28T02:30:00", uint8(zone))
		f.Add("2011-12-30T12:00:00", uint8(zone))
	}
	f.Fuzz(func(t *testing.T, text string, zone uint8) {
		local, err := postdate.ParseLocalTime(text)
		if err != nil {
			return
		}
		name := fuzzZones[int(zone)%len(fuzzZones)]
		moment, err := calendar.Resolve(local, name, postdate.DST{})
		require.NoError(t, err)
		if moment.Note == "" {
			require.Equal(t, local, moment.Local, "%s in %s: %s", text, name, strconv.Quote(moment.Offset))
		}
	})
}
