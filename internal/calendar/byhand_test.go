package calendar_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// byHand holds what the libraries of Python read otherwise, or do not know.
var byHand = []tableCase{
	{
		// RFC 5545: BYDAY lists days, each with or without a number. dateutil, like
		// rrule-go, wants a day to be both. December 2026 begins on a Tuesday.
		name:       "rrule: every Monday and the first Tuesday",
		recurrence: `{"rrule":"FREQ=MONTHLY;BYDAY=MO,1TU","start_at":"2026-12-01T09:00:00Z"}`,
		after:      "2026-11-30T12:00:00Z",
		ticks: []string{
			"2026-12-01T09:00:00+00:00", "2026-12-07T09:00:00+00:00", "2026-12-14T09:00:00+00:00",
			"2026-12-21T09:00:00+00:00", "2026-12-28T09:00:00+00:00", "2027-01-04T09:00:00+00:00",
			"2027-01-05T09:00:00+00:00",
		},
	},
	{
		// A year's last week is week -1: the 53rd of 2026, whose Friday is the first
		// of 2027, and so of no year that the rule's years are. 2027 has 52 weeks.
		name:       "rrule: the Thursday of a year's last week",
		recurrence: `{"rrule":"FREQ=YEARLY;BYWEEKNO=-1;BYDAY=TH","start_at":"2026-01-01T09:00:00Z"}`,
		after:      "2026-02-01T00:00:00Z",
		ticks:      []string{"2026-12-31T09:00:00+00:00", "2027-12-30T09:00:00+00:00", "2028-12-28T09:00:00+00:00"},
	},
	{
		// 1 January 2050 is a Saturday in week 52, as Python's date.isocalendar says.
		// dateutil counts it in week 53. 2077-01-02 is in it, and 2083-01-02.
		name:       "rrule: no week 53 in 2049",
		recurrence: `{"rrule":"FREQ=YEARLY;INTERVAL=3;BYWEEKNO=53;BYDAY=SA","start_at":"2026-02-06T09:00:00Z"}`,
		after:      "2047-01-01T00:00:00Z",
		ticks:      []string{"2077-01-02T09:00:00+00:00", "2083-01-02T09:00:00+00:00"},
	},
	{
		// No month has ten Mondays: rrule-go's index runs out of its range.
		name:       "rrule: a Monday that only long counts reach",
		recurrence: `{"rrule":"FREQ=MONTHLY;BYDAY=-10MO,-1MO","start_at":"2026-12-01T09:00:00Z"}`,
		after:      "2026-12-01T00:00:00Z",
		ticks:      []string{"2026-12-28T09:00:00+00:00", "2027-01-25T09:00:00+00:00"},
	},
	{
		// RFC 5545, 3.3.10: what does not exist is not counted. New York skips 02:30
		// on 14 March, so the third of three is on the 16th.
		name:       "rrule: COUNT does not count what clocks skip",
		recurrence: `{"rrule":"FREQ=DAILY;COUNT=3","start_at":"2027-03-13T07:30:00Z","time_zone":"America/New_York","dst":{"gap":"skip"}}`,
		after:      "2027-03-13T00:00:00Z",
		ticks:      []string{"2027-03-13T02:30:00-05:00", "2027-03-15T02:30:00-04:00", "2027-03-16T02:30:00-04:00"},
		ends:       true,
	},
	{
		// An hour that comes twice is one local time to COUNT, and two ticks.
		name:       "rrule: COUNT counts local times",
		recurrence: `{"rrule":"FREQ=DAILY;COUNT=2","start_at":"2026-10-31T05:30:00Z","time_zone":"America/New_York","dst":{"overlap":"both"}}`,
		after:      "2026-10-31T00:00:00Z",
		ticks:      []string{"2026-10-31T01:30:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"},
		ends:       true,
	},
	{
		// UNTIL is 05:45Z, when New York's clocks show 01:45 for the first time: the
		// second 01:30, 06:30Z, is later.
		name:       "rrule: UNTIL in UTC ends between two ticks of one local time",
		recurrence: `{"rrule":"FREQ=DAILY;UNTIL=20261101T054500Z","start_at":"2026-10-31T05:30:00Z","time_zone":"America/New_York","dst":{"overlap":"both"}}`,
		after:      "2026-10-31T06:00:00Z",
		ticks:      []string{"2026-11-01T01:30:00-04:00"},
		ends:       true,
	},
	{
		// UNTIL is 03:10 in New York: 02:30 would be 03:30, which is later, and 03:05
		// is not.
		name:       "rrule: UNTIL in UTC ends after a gap",
		recurrence: `{"rrule":"FREQ=DAILY;BYHOUR=2,3;BYMINUTE=5,30;UNTIL=20270314T071000Z","start_at":"2027-03-14T05:00:00Z","time_zone":"America/New_York"}`,
		after:      "2027-03-14T05:00:00Z",
		ticks:      []string{"2027-03-14T03:05:00-04:00"},
		ends:       true,
	},
	{
		// 02:05 and 03:05 are both 03:05 on that day.
		name:       "cron: two local times meet behind a gap",
		recurrence: `{"cron":"5 2,3 14 3 *","time_zone":"America/New_York"}`,
		after:      "2027-03-14T05:00:00Z",
		ticks:      []string{"2027-03-14T03:05:00-04:00", "2028-03-14T02:05:00-04:00"},
	},
	{
		// The start is in the second of two hours: the first 01:45 is before it.
		name:       "cron: starting in the second of two hours",
		recurrence: `{"cron":"45 1 * * *","time_zone":"America/New_York","start_at":"2026-11-01T06:00:00Z","dst":{"overlap":"both"}}`,
		after:      "2026-10-01T00:00:00Z",
		ticks:      []string{"2026-11-01T01:45:00-05:00", "2026-11-02T01:45:00-05:00"},
	},
	{
		// A fraction of a second in start_at: the whole second before it is before it.
		name:       "every: a start between two seconds",
		recurrence: `{"every":"1m","start_at":"2026-12-01T09:00:00.5Z"}`,
		after:      "2026-12-01T00:00:00Z",
		ticks:      []string{"2026-12-01T09:00:01+00:00", "2026-12-01T09:01:01+00:00"},
	},
	{
		// Friday 25 and Monday 28 December are off: the tick of Christmas Day goes
		// back to the 24th, which is before start_at.
		name:       "except: nothing is moved out of the bounds",
		recurrence: `{"cron":"0 9 25,30 12 *","start_at":"2026-12-25T00:00:00Z","end_at":"2026-12-31T00:00:00Z","except":["uk_banks"],"shift":"previous"}`,
		after:      "2026-12-01T00:00:00Z",
		ticks:      []string{"2026-12-30T09:00:00+00:00"},
		ends:       true,
	},
	{
		// 24 hours after 13:00 on Christmas Eve is off, and moves to Tuesday 29, where
		// that of the 29th is, too. Those of the weekend and of Boxing Day join them.
		name:       "every: ticks that meet are one",
		recurrence: `{"every":"24h","start_at":"2026-12-23T13:00:00Z","except":["uk_banks"],"shift":"next"}`,
		after:      "2026-12-24T00:00:00Z",
		ticks:      []string{"2026-12-24T13:00:00+00:00", "2026-12-29T13:00:00+00:00", "2026-12-30T13:00:00+00:00"},
	},
	{
		// 36 hours from Friday 09:00 are Saturday 21:00, off, and Monday 09:00.
		// Saturday's moves to Monday 21:00.
		name:       "every: a moved tick comes between others",
		recurrence: `{"every":"36h","start_at":"2026-12-04T09:00:00Z","except":["br_banks"],"shift":"next"}`,
		after:      "2026-12-04T12:00:00Z",
		ticks:      []string{"2026-12-07T09:00:00+00:00", "2026-12-07T21:00:00+00:00", "2026-12-08T21:00:00+00:00"},
	},
}

func TestRule_TicksAsWorkedOutByHand(t *testing.T) {
	t.Parallel()
	for _, c := range byHand {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rule := compile(t, c.recurrence)
			assert.Equal(t, c.ticks, ticks(rule, at(t, c.after), len(c.ticks)))
			if c.ends {
				assert.Len(t, ticks(rule, at(t, c.after), len(c.ticks)+1), len(c.ticks), "nothing follows")
			}
		})
	}
}
