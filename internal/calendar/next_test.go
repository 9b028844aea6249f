package calendar_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestRule_NumbersItsTicksUpToTheLimit(t *testing.T) {
	t.Parallel()
	rule := compile(t, `{"cron":"0 9 * * *","start_at":"2026-12-01T00:00:00Z","limit":3}`)
	var numbers []int
	for tick := range rule.Ticks(postdate.Tick{}) {
		numbers = append(numbers, tick.Number)
	}
	assert.Equal(t, []int{1, 2, 3}, numbers)

	// What an execution carries on is the last tick, however many it has seen.
	last := postdate.Tick{Number: 1, Moment: postdate.Moment{DueAt: time.Date(2031, 1, 1, 9, 0, 0, 0, time.UTC)}}
	next, ok := rule.Next(last)
	require.True(t, ok)
	assert.Equal(t, 2, next.Number)
	last.Number = 3
	_, ok = rule.Next(last)
	assert.False(t, ok)
}

func TestRule_EndsWithItsEnd(t *testing.T) {
	t.Parallel()
	// The last hour begins where New York's clocks go forward: the end is far enough
	// for 03:00 by the new offset only.
	rule := compile(t, `{"cron":"0 3 * * *","time_zone":"America/New_York","start_at":"2027-03-13T12:00:00Z","end_at":"2027-03-14T07:00:00Z"}`)
	assert.Equal(t, []string{"2027-03-14T03:00:00-04:00"}, ticks(rule, at(t, "2027-03-13T12:00:00Z"), 2))
}

func TestRule_EndsBeforeTheYear10000(t *testing.T) {
	t.Parallel()
	rule := compile(t, `{"cron":"0 9 31 12 *","time_zone":"Pacific/Kiritimati"}`)
	assert.Equal(t, []string{"9998-12-31T09:00:00+14:00", "9999-12-31T09:00:00+14:00"}, ticks(rule, at(t, "9998-01-01T00:00:00Z"), 3))
}

// TestRule_CostsTheSameLongAfterItsStart would not end if what lies between the
// two was walked: 250,000,000,000 seconds.
func TestRule_CostsTheSameLongAfterItsStart(t *testing.T) {
	t.Parallel()
	for _, recurrence := range []string{
		`{"rrule":"FREQ=SECONDLY","start_at":"1000-01-01T00:00:00Z"}`,
		`{"rrule":"FREQ=DAILY;BYHOUR=0;BYMINUTE=0;BYSECOND=1","start_at":"1000-01-01T00:00:00Z"}`,
		`{"every":"1s","start_at":"1000-01-01T00:00:00Z"}`,
		`{"every":"1s","start_at":"1000-01-01T00:00:00Z","except":["year_end"],"shift":"next"}`,
	} {
		after := at(t, "9000-01-01T00:00:00Z")
		assert.Equal(t, []string{"9000-01-01T00:00:01+00:00"}, ticks(compile(t, recurrence), after, 1), recurrence)
	}
}

func TestRule_SaysWhatWasMovedAndWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ recurrence, after, local, note string }{
		{
			`{"cron":"0 9 * * *"}`, "2026-12-01T00:00:00Z", "2026-12-01T09:00:00", "",
		},
		{
			`{"cron":"30 2 * * *","time_zone":"America/New_York"}`, "2027-03-13T12:00:00Z", "2027-03-14T03:30:00",
			"2027-03-14T02:30:00 does not exist: clocks go from 2027-03-14T02:00:00 to 2027-03-14T03:00:00, and it moves to 2027-03-14T03:30:00",
		},
		{
			`{"cron":"0 2,3 * * *","time_zone":"America/New_York"}`, "2027-03-13T12:00:00Z", "2027-03-14T03:00:00",
			"2027-03-14T02:00:00 does not exist: clocks go from 2027-03-14T02:00:00 to 2027-03-14T03:00:00, and it moves to 2027-03-14T03:00:00",
		},
		{
			`{"cron":"30 1 * * *","time_zone":"America/New_York"}`, "2026-10-31T12:00:00Z", "2026-11-01T01:30:00",
			"clocks show 2026-11-01T01:30:00 twice: this is the first",
		},
		{
			`{"cron":"30 * * * *","time_zone":"America/New_York"}`, "2026-11-01T06:00:00Z", "2026-11-01T01:30:00",
			"clocks show 2026-11-01T01:30:00 twice: this is the second",
		},
		{
			`{"cron":"0 9 25 12 *","except":["uk_banks"],"shift":"previous"}`, "2026-12-01T00:00:00Z", "2026-12-24T09:00:00",
			"moved from 2026-12-25 (Christmas Day), which is excepted",
		},
		{
			`{"cron":"0 9 * * *","except":["uk_banks","2026-12-29"],"shift":"next"}`, "2026-12-25T00:00:00Z", "2026-12-30T09:00:00",
			"also for 2026-12-25 (Christmas Day), 2026-12-26 (Saturday), 2026-12-27 (Sunday), 2026-12-28 (Boxing Day), 2026-12-29, which are excepted",
		},
		{
			`{"cron":"30 2 13 3 *","time_zone":"America/New_York","except":["2027-03-13"],"shift":"next"}`, "2027-03-12T12:00:00Z", "2027-03-14T03:30:00",
			"moved from 2027-03-13, which is excepted; 2027-03-14T02:30:00 does not exist: clocks go from 2027-03-14T02:00:00 to 2027-03-14T03:00:00, and it moves to 2027-03-14T03:30:00",
		},
		{
			`{"every":"24h","start_at":"2026-12-24T09:00:00Z","except":["year_end"],"shift":"next"}`, "2027-01-01T12:00:00Z", "2027-01-02T09:00:00",
			"also for 2026-12-24, 2026-12-25, 2026-12-26, 2026-12-27, 2026-12-28 and 4 more, which are excepted",
		},
	} {
		next, ok := compile(t, c.recurrence).Next(postdate.Tick{Moment: postdate.Moment{DueAt: at(t, c.after)}})
		require.True(t, ok, c.recurrence)
		assert.Equal(t, c.local, next.Local.String(), c.recurrence)
		assert.Equal(t, c.note, next.Note, c.recurrence)
	}
}
