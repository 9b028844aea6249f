package postdate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestRecurrence_RefusesWhatBreaksARule(t *testing.T) {
	t.Parallel()
	const cron = `{"cron":"0 9 * * *"`
	for body, pointer := range map[string]string{
		cron + `}`:                            "",
		`{"every":"15m"}`:                     "",
		`{"every":"P1DT12H"}`:                 "",
		`{"rrule":"FREQ=DAILY"}`:              "",
		`{}`:                                  "/recurrence",
		`{"cron":"0 9 * * *","every":"1h"}`:   "/recurrence",
		`{"every":"1h","rrule":"FREQ=DAILY"}`: "/recurrence",
		`{"cron":"0 9 * * *","rrule":"FREQ=DAILY"}`: "/recurrence",
		`{"cron":""}`: "/recurrence/cron",
		`{"cron":"` + strings.Repeat("1,", 512) + `1 * * * *"}`: "/recurrence/cron",
		`{"rrule":""}`:     "/recurrence/rrule",
		`{"every":"0s"}`:   "/recurrence/every",
		`{"every":"-1h"}`:  "/recurrence/every",
		`{"every":"10ms"}`: "/recurrence/every",
		`{"every":"1.5s"}`: "/recurrence/every",
		fmt.Sprintf(`{"every":%q}`, (postdate.MaxDelay + time.Second).String()):      "/recurrence/every",
		cron + `,"time_zone":"America/Sao_Paulo"}`:                                   "",
		cron + `,"time_zone":""}`:                                                    "/recurrence/time_zone",
		cron + `,"time_zone":"São Paulo"}`:                                           "/recurrence/time_zone",
		cron + `,"start_at":"2026-12-01T00:00:00Z","end_at":"2026-12-01T00:00:00Z"}`: "",
		cron + `,"start_at":"2026-12-01T00:00:00Z","end_at":"2026-11-30T23:59:59Z"}`: "/recurrence/end_at",

		cron + `,"limit":1}`:                                         "",
		cron + `,"limit":0}`:                                         "/recurrence/limit",
		cron + `,"except":"2026-12-25"}`:                             "",
		cron + `,"except":["2026-12-25","br_banks"]}`:                "",
		cron + `,"except":["2026-12-25","2026-13-01"]}`:              "/recurrence/except/1",
		cron + `,"except":["br banks"]}`:                             "/recurrence/except/0",
		cron + `,"except":["` + strings.Repeat(`x","`, 500) + `x"]}`: "/recurrence/except",
		cron + `,"except":["br_banks"],"shift":"next"}`:              "",
		cron + `,"except":["br_banks"],"shift":"nearest"}`:           "/recurrence/shift",
		cron + `,"shift":"next"}`:                                    "/recurrence/shift",
		cron + `,"dst":{"gap":"skip","overlap":"both"}}`:             "",
		cron + `,"dst":{"gap":"refuse"}}`:                            "/recurrence/dst/gap",
		cron + `,"dst":{"overlap":"second"}}`:                        "/recurrence/dst/overlap",
		`{"every":"1h","dst":{"gap":"skip"}}`:                        "/recurrence/dst",
		cron + `,"spread":"10m"}`:                                    "",
		cron + `,"spread":"25h"}`:                                    "/recurrence/spread",
		cron + `,"spread":"-1s"}`:                                    "/recurrence/spread",
		cron + `,"overlap":"buffer_one"}`:                            "",
		cron + `,"overlap":"buffer_all"}`:                            "/recurrence/overlap",
		cron + `,"catch_up":"one"}`:                                  "",
		cron + `,"catch_up":{"within":"1h"}}`:                        "",
		cron + `,"catch_up":{"mode":"most"}}`:                        "/recurrence/catch_up/mode",
		cron + `,"catch_up":{"mode":"all","within":"0s"}}`:           "/recurrence/catch_up/within",
		cron + `,"catch_up":{"mode":"none","within":"1h"}}`:          "/recurrence/catch_up/within",
	} {
		var r postdate.Recurrence
		require.NoError(t, json.Unmarshal([]byte(body), &r), body)
		assertPointer(t, pointer, r.Validate(), body)
	}
}

func assertPointer(t *testing.T, pointer string, err error, body string) {
	t.Helper()
	if pointer == "" {
		assert.NoError(t, err, body)
		return
	}
	var refusal *postdate.Error
	if assert.ErrorAs(t, err, &refusal, body) {
		assert.Equal(t, pointer, refusal.Pointer, body)
		assert.Equal(t, postdate.Invalid, refusal.Code, body)
	}
}

func TestRecurrence_IsWrittenAsItWasRead(t *testing.T) {
	t.Parallel()
	for body, written := range map[string]string{
		`{"cron":"0 9 L * *","time_zone":"America/Sao_Paulo","start_at":"2026-12-01T00:00:00Z","limit":12,` +
			`"except":["br_banks","2026-12-24"],"shift":"previous","dst":{"gap":"skip","overlap":"both"},"spread":"10m0s",` +
			`"overlap":"skip","catch_up":{"mode":"one","within":"6h0m0s"}}`: "",
		`{"every":"15m0s","end_at":"2027-12-01T00:00:00Z"}`:           "",
		`{"rrule":"FREQ=DAILY"}`:                                      "",
		`{"cron":"@daily","except":"br_banks","catch_up":"none"}`:     `{"cron":"@daily","except":["br_banks"],"catch_up":{"mode":"none"}}`,
		`{"cron":"@daily","except":[],"catch_up":null,"except":null}`: `{"cron":"@daily"}`,
	} {
		var r postdate.Recurrence
		require.NoError(t, json.Unmarshal([]byte(body), &r), body)
		if written == "" {
			written = body
		}
		text, err := json.Marshal(r)
		require.NoError(t, err)
		assert.Equal(t, written, string(text))
	}
}

func TestRecurrence_StartsWhenItIsAcceptedUnlessItSays(t *testing.T) {
	t.Parallel()
	var r postdate.Recurrence
	assert.Equal(t, now, *r.Starting(now).StartAt)
	assert.Equal(t, now.Add(time.Second), *r.Starting(now.Add(time.Millisecond)).StartAt, "not before it is accepted")
	assert.Nil(t, r.StartAt)
	start := now.Add(time.Hour)
	r.StartAt = &start
	assert.Equal(t, start, *r.Starting(now).StartAt)
	assert.Equal(t, "UTC", r.Zone())
}

func TestExcept_TellsDatesFromCalendars(t *testing.T) {
	t.Parallel()
	e := postdate.Except{"2026-12-25", "br_banks", "2027-01-01"}
	assert.Equal(t, []postdate.Date{{Year: 2026, Month: 12, Day: 25}, {Year: 2027, Month: 1, Day: 1}}, e.Dates())
	assert.Equal(t, []string{"br_banks"}, e.Calendars())
}

func TestDST_KnowsWhatASingleTimeMaySay(t *testing.T) {
	t.Parallel()
	for pointer, d := range map[string]postdate.DST{
		"":             {Gap: postdate.GapRefuse, Overlap: postdate.RepeatSecond},
		"/dst/gap":     {Gap: postdate.GapSkip},
		"/dst/overlap": {Overlap: postdate.RepeatBoth},
	} {
		assertPointer(t, pointer, d.ValidateOnce("/dst"), pointer)
	}
	assert.NoError(t, postdate.DST{}.ValidateOnce("/dst"))
}
