package calendar_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/calendar"
)

func TestValidate_RefusesWhatProgramsReadDifferently(t *testing.T) {
	t.Parallel()
	for rule, says := range map[string]string{
		// Fields of cron.
		`{"cron":"0 0 9 * * *"}`:                     "has 6 fields",
		`{"cron":"0 9 * * * 2027"}`:                  "whether a sixth is seconds or years",
		`{"cron":"0 0 9 * * * 2027"}`:                "has 7 fields",
		`{"cron":"9 * * *"}`:                         "has 4 fields",
		`{"cron":"@every 5m"}`:                       "as every",
		`{"cron":"@reboot"}`:                         "",
		`{"cron":"@manual"}`:                         "does not say when",
		`{"cron":"CRON_TZ=Europe/Berlin 0 9 * * *"}`: "as time_zone",
		`{"cron":"TZ=Local 0 9 * * *"}`:              "as time_zone",
		`{"cron":"60 9 * * *"}`:                      "",
		`{"cron":"0 24 * * *"}`:                      "",
		`{"cron":"0 9 0 * *"}`:                       "",
		`{"cron":"0 9 32 * *"}`:                      "",
		`{"cron":"0 9 * 13 *"}`:                      "",
		`{"cron":"0 9 * * 8"}`:                       "",
		`{"cron":"0 9 * * L"}`:                       "",
		`{"cron":"0 9 * * FRI#6"}`:                   "",
		`{"cron":"0 9 * * FRI#0"}`:                   "",
		`{"cron":"0 9 32W * *"}`:                     "",
		`{"cron":"0 9 1-5W * *"}`:                    "",
		`{"cron":"0 9 W * *"}`:                       "",
		`{"cron":"0 9 L-31 * *"}`:                    "",
		`{"cron":"0 9 , * *"}`:                       "is not a field",
		`{"cron":"0 9 1,,2 * *"}`:                    "is not a field",
		`{"cron":"0 9 +5 * *"}`:                      "is not a field",
		`{"cron":"*/0 9 * * *"}`:                     "",
		`{"cron":"*/60 9 * * *"}`:                    "",
		`{"cron":"H 9 * * *"}`:                       "",
		`{"cron":"0 9 * * MONDAY"}`:                  "",
		`{"cron":"0 9 30 2 *"}`:                      "is never due",
		`{"cron":"0 9 31 4,6,9,11 *"}`:               "is never due",
		`{"cron":"0 9 30W 2 *"}`:                     "is never due",

		// Rules of RFC 5545.
		`{"rrule":"DAILY"}`:                                      "",
		`{"rrule":"INTERVAL=2"}`:                                 "FREQ",
		`{"rrule":"FREQ=FORTNIGHTLY"}`:                           "",
		`{"rrule":"FREQ=DAILY;BYMOON=1"}`:                        "",
		`{"rrule":"FREQ=DAILY;FREQ=WEEKLY"}`:                     "twice",
		`{"rrule":"FREQ=DAILY;INTERVAL=0"}`:                      "INTERVAL",
		`{"rrule":"FREQ=DAILY;INTERVAL=-1"}`:                     "INTERVAL",
		`{"rrule":"FREQ=YEARLY;INTERVAL=101"}`:                   "100 years",
		`{"rrule":"FREQ=DAILY;COUNT=0"}`:                         "COUNT",
		`{"rrule":"FREQ=DAILY;COUNT=-3"}`:                        "COUNT",
		`{"rrule":"FREQ=YEARLY;COUNT=500"}`:                      "400 years",
		`{"rrule":"FREQ=DAILY;COUNT=10001"}`:                     "limit",
		`{"rrule":"FREQ=DAILY;COUNT=2;UNTIL=20271231T000000Z"}`:  "exclude",
		`{"rrule":"FREQ=DAILY;UNTIL=20271231"}`:                  "20271231T235959",
		`{"rrule":"FREQ=DAILY;UNTIL=tomorrow"}`:                  "",
		`{"rrule":"FREQ=DAILY;BYEASTER=1"}`:                      "BYEASTER",
		`{"rrule":"FREQ=DAILY;BYHOUR=24"}`:                       "BYHOUR",
		`{"rrule":"FREQ=DAILY;BYSECOND=60"}`:                     "BYSECOND",
		`{"rrule":"FREQ=MONTHLY;BYMONTHDAY=0"}`:                  "BYMONTHDAY",
		`{"rrule":"FREQ=MONTHLY;BYMONTHDAY=-32"}`:                "BYMONTHDAY",
		`{"rrule":"FREQ=MONTHLY;BYDAY=0TH"}`:                     "BYDAY",
		`{"rrule":"FREQ=MONTHLY;BYDAY=MO,+0TU"}`:                 "BYDAY",
		`{"rrule":"FREQ=YEARLY;BYDAY=54MO"}`:                     "BYDAY",
		`{"rrule":"FREQ=WEEKLY;BYDAY=1MO"}`:                      "BYDAY",
		`{"rrule":"FREQ=WEEKLY;BYMONTHDAY=3"}`:                   "BYMONTHDAY",
		`{"rrule":"FREQ=MONTHLY;BYYEARDAY=3"}`:                   "BYYEARDAY",
		`{"rrule":"FREQ=MONTHLY;BYWEEKNO=3;BYDAY=MO"}`:           "BYWEEKNO",
		`{"rrule":"FREQ=YEARLY;BYWEEKNO=3"}`:                     "BYDAY",
		`{"rrule":"FREQ=YEARLY;BYWEEKNO=3;BYDAY=1MO"}`:           "BYWEEKNO",
		`{"rrule":"FREQ=MONTHLY;BYSETPOS=-1"}`:                   "BYSETPOS",
		`{"rrule":"FREQ=DAILY\nEXDATE:20270101T000000Z"}`:        "one rule",
		`{"rrule":"DTSTART:20270101T000000Z\nRRULE:FREQ=DAILY"}`: "start_at",
		`{"rrule":"FREQ=DAILY;DTSTART=20270101T000000Z"}`:        "start_at",
		`{"rrule":"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}`:        "is never due",
		`{"rrule":"FREQ=HOURLY;INTERVAL=2;BYHOUR=10"}`:           "is never due", // it starts at an odd hour
		`{"rrule":"FREQ=SECONDLY;INTERVAL=120;BYSECOND=1"}`:      "is never due",
		`{"rrule":"FREQ=MINUTELY;BYMONTH=4;BYMONTHDAY=31"}`:      "is never due",
		`{"rrule":"FREQ=DAILY;UNTIL=20261201T000000Z"}`:          "is never due",
	} {
		r := parse(t, strings.Replace(rule, "}", `,"start_at":"2026-12-01T09:00:00Z"}`, 1))
		err := calendar.Validate(r, nil)
		field := "/recurrence/cron"
		if r.RRule != nil {
			field = "/recurrence/rrule"
		}
		assertRefused(t, err, field, says, rule)
	}
}

func TestValidate_RefusesWhatIsOutOfBounds(t *testing.T) {
	t.Parallel()
	for body, pointer := range map[string]string{
		`{"cron":"0 9 * * *","time_zone":"Mars/Olympus"}`:      "/recurrence/time_zone",
		`{"cron":"0 9 * * *","time_zone":"Local"}`:             "/recurrence/time_zone",
		`{"cron":"0 9 * * *","time_zone":""}`:                  "/recurrence/time_zone",
		`{"cron":"0 9 * * *","time_zone":"localtime"}`:         "/recurrence/time_zone",
		`{"cron":"0 9 * * *","time_zone":"right/UTC"}`:         "/recurrence/time_zone",
		`{"cron":"0 9 * * *","time_zone":"america/sao_paulo"}`: "/recurrence/time_zone",
		`{"cron":"0 9 * * *","time_zone":"-03:00"}`:            "/recurrence/time_zone",
		`{"cron":"0 9 * * *","except":["nowhere"]}`:            "/recurrence/except",
		`{"every":"1h"}`:         "/recurrence/start_at",
		`{"rrule":"FREQ=DAILY"}`: "/recurrence/start_at",
		`{"cron":"0 9 * * *","start_at":"2026-12-01T10:00:00Z","end_at":"2026-12-01T11:00:00Z"}`: "/recurrence/end_at",
		`{"every":"1h","cron":"0 9 * * *"}`: "/recurrence",
		`{"cron":"0 9 1 1 *","start_at":"2026-12-01T10:00:00Z","end_at":"2027-01-01T09:00:00Z"}`:                   "",
		`{"cron":"0 9 * * SAT","except":["br_banks"]}`:                                                             "/recurrence/cron",
		`{"cron":"0 9 * * SAT","except":["br_banks"],"shift":"next"}`:                                              "",
		`{"cron":"0 9 * * *","time_zone":"Europe/Kyiv"}`:                                                           "",
		`{"cron":"0 9 * * *","time_zone":"UTC","start_at":"2026-12-01T10:00:00Z","end_at":"2026-12-01T10:00:00Z"}`: "/recurrence/end_at",
	} {
		err := calendar.Validate(parse(t, body), calendars(t))
		if pointer == "" {
			assert.NoError(t, err, body)
			continue
		}
		assertRefused(t, err, pointer, "", body)
	}
}

func TestValidate_RefusesCalendarsThatLeaveNoDay(t *testing.T) {
	t.Parallel()
	days := func(names ...string) postdate.HolidayCalendar {
		var c postdate.HolidayCalendar
		for _, name := range names {
			var day postdate.Weekday
			require.NoError(t, day.UnmarshalText([]byte(name)))
			c.Weekend = append(c.Weekend, day)
		}
		return c
	}
	both := map[string]postdate.HolidayCalendar{
		"a": days("monday", "tuesday", "wednesday", "thursday"), "b": days("friday", "saturday", "sunday"),
	}
	err := calendar.Validate(parse(t, `{"cron":"0 9 * * *","except":["a","b"],"shift":"next"}`), both)
	assertRefused(t, err, "/recurrence/except", "every day", "")
}

func assertRefused(t *testing.T, err error, pointer, says, of string) {
	t.Helper()
	var refusal *postdate.Error
	if assert.ErrorAs(t, err, &refusal, of) {
		assert.Equal(t, postdate.Invalid, refusal.Code, of)
		assert.Equal(t, pointer, refusal.Pointer, of)
		assert.Contains(t, refusal.Detail, says, of)
	}
}
