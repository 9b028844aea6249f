package postdate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func TestSchedule_IsDueWhenItSays(t *testing.T) {
	t.Parallel()
	for body, due := range map[string]time.Time{
		`{}`:                                now,
		`{"delay":"90s"}`:                   now.Add(90 * time.Second),
		`{"delay":"P1DT2H"}`:                now.Add(26 * time.Hour),
		`{"due_at":"2027-01-01T09:00:00Z"}`: time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC),
	} {
		var s postdate.Schedule
		require.NoError(t, json.Unmarshal([]byte(body), &s), body)
		require.Equal(t, due, s.Due(now), body)
	}
}

func TestSchedule_RefusesWhatCouldNeverFire(t *testing.T) {
	t.Parallel()
	valid := `"type":"payment_request.due","to":{"url":"https://b.example/hooks"}`
	for body, pointer := range map[string]string{
		`{` + valid + `}`: "",
		`{` + valid + `,"id":"pr_123:expiry-1","entity":"café 42","delay":"P1D","expires_at":"2026-11-23T00:00:00Z"}`: "",
		`{` + valid + `,"due_at":"2020-01-01T00:00:00Z"}`:                                                             "", // overdue: now
		`{` + valid + `,"id":"a b"}`:                                                          "/id",
		`{` + valid + `,"id":"` + strings.Repeat("x", 129) + `"}`:                             "/id",
		`{` + valid + `,"entity":"a\nb"}`:                                                     "/entity",
		`{"to":{"url":"https://b.example"}}`:                                                  "/type",
		`{"type":"t"}`:                                                                        "", // to those who are subscribed when it is due
		`{"type":"t","to":{"url":"https://b.example","endpoint":"ep_1"}}`:                     "/to/endpoint",
		`{"type":"t","to":{"endpoint":"ep 1"}}`:                                               "/to/endpoint",
		`{"type":"t","to":{"url":"ftp://b.example"}}`:                                         "/to/url",
		`{"type":"t","to":{"url":"http://b.example"}}`:                                        "/to/url",
		`{"type":"t","to":{"url":"https://user:pass@b.example"}}`:                             "/to/url",
		`{"type":"t","to":{"url":"https:///nowhere"}}`:                                        "/to/url",
		`{` + valid + `,"delay":"1h","due_at":"2027-01-01T09:00:00Z"}`:                        "/delay",
		`{` + valid + `,"delay":"-1h"}`:                                                       "/delay",
		`{` + valid + `,"delay":"880000h"}`:                                                   "/delay",
		`{` + valid + `,"due_at":"2127-01-01T09:00:00Z"}`:                                     "/due_at",
		`{` + valid + `,"due_at":"2027-01-01T09:00:00Z","expires_at":"2027-01-01T09:00:00Z"}`: "/expires_at",
		`{` + valid + `,"timeout":"61s"}`:                                                     "/timeout",
		`{` + valid + `,"timeout":"0s"}`:                                                      "/timeout",
		`{` + valid + `,"retry":{"factor":0.1}}`:                                              "/retry/factor",
	} {
		var s postdate.Schedule
		require.NoError(t, json.Unmarshal([]byte(body), &s), body)
		err := s.Validate(now, false)
		if pointer == "" {
			require.NoError(t, err, body)
			continue
		}
		var told *postdate.Error
		require.ErrorAs(t, err, &told, body)
		require.Equal(t, pointer, told.Pointer, body)
		require.Equal(t, postdate.Invalid, postdate.CodeOf(err))
	}
}

func TestParseDuration_TakesGoAndISO8601(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "PT90S": 90 * time.Second, "PT0.5S": time.Second / 2,
		"P2D": 48 * time.Hour, "P1W": 168 * time.Hour, "P1DT1H1M1S": 25*time.Hour + time.Minute + time.Second,
	} {
		got, err := postdate.ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.Std(), text)
	}
	for _, text := range []string{"", "P", "PT", "P1DT", "P1Y", "P1M", "1 h", "ten", "P99999999W", "P1.5D", "-P1D"} {
		_, err := postdate.ParseDuration(text)
		require.Error(t, err, text)
	}
}

func TestAttempts_ForgetTheOldestAndKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	var log postdate.Attempts
	for range 150 {
		log = log.With(postdate.Attempt{Response: strings.Repeat("é", 8000)})
	}
	require.Len(t, log, 100)
	require.Equal(t, 51, log[0].Number)
	require.Equal(t, 150, log.Last().Number)
	require.Len(t, log.Last().Response, 16000)
	require.LessOrEqual(t, len(log[98].Response), 1024)
	encoded, err := json.Marshal(log)
	require.NoError(t, err)
	require.Less(t, len(encoded), 256<<10, "far below the engine's limit for one value")
}
