package postdate_test

import (
	"encoding/json"
	"fmt"
	"slices"
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
		`{` + valid + `,"spread":"24h"}`:                                                      "",
		`{` + valid + `,"spread":"0s"}`:                                                       "",
		`{` + valid + `,"spread":"-1s"}`:                                                      "/spread",
		`{` + valid + `,"spread":"24h0m1s"}`:                                                  "/spread",
		`{` + valid + `,"delay":"1h","due_at":"2027-01-01T09:00:00Z","spread":"-1s"}`:         "/delay",
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
		var refused *postdate.Error
		require.ErrorAs(t, err, &refused, body)
		require.Equal(t, pointer, refused.Pointer, body)
		require.Equal(t, postdate.Invalid, postdate.CodeOf(err))
	}
}

func TestSchedule_SpreadPutsOffByTenantAndID(t *testing.T) {
	t.Parallel()
	spread, delay, none := postdate.Duration(10*time.Minute), postdate.Duration(time.Hour), postdate.Duration(0)
	s := postdate.Schedule{Tenant: "bank", ID: "settlement_1", DueAt: new(now.Add(24 * time.Hour)), Spread: &spread}
	due := s.Due(now)
	shift := due.Sub(*s.DueAt)
	require.Equal(t, 98182*time.Millisecond, shift, "it is the same after an upgrade")
	require.Equal(t, due, s.Due(now.Add(time.Hour)), "it does not depend on when it is asked for")

	delayed := postdate.Schedule{Tenant: s.Tenant, ID: s.ID, Delay: &delay, Spread: &spread}
	require.Equal(t, now.Add(time.Hour+shift), delayed.Due(now))
	atOnce := postdate.Schedule{Tenant: s.Tenant, ID: s.ID, Spread: &spread}
	require.Equal(t, now.Add(shift), atOnce.Due(now))

	other := s
	other.Tenant = "shop"
	require.NotEqual(t, due, other.Due(now), "tenants whose ids are alike do not come together")
	other = s
	other.ID = "settlement_2"
	require.NotEqual(t, due, other.Due(now))
	for _, spread := range []*postdate.Duration{nil, &none} {
		other = s
		other.Spread = spread
		require.Equal(t, *s.DueAt, other.Due(now))
	}
}

func TestSchedule_SpreadIsEven(t *testing.T) {
	t.Parallel()
	const customers, parts = 30_000, 60
	for _, spread := range []postdate.Duration{
		postdate.Duration(7 * time.Second), postdate.Duration(10 * time.Minute), postdate.Duration(postdate.MaxSpread),
	} {
		var in [parts]int
		for i := range customers {
			s := postdate.Schedule{Tenant: "bank", ID: fmt.Sprintf("settlement_2026-12-01_%d", i), DueAt: &now, Spread: &spread}
			shift := s.Due(now).Sub(now)
			require.GreaterOrEqual(t, shift, time.Duration(0))
			require.Less(t, shift, spread.Duration())
			require.Zero(t, shift%time.Millisecond, "what is shown is what is kept")
			in[parts*shift/spread.Duration()]++
		}
		// 500 in each, give or take five standard deviations.
		require.Greater(t, slices.Min(in[:]), 390, spread)
		require.Less(t, slices.Max(in[:]), 610, spread)
	}
}

func TestSchedule_ExpiresAfterTheTimeThatSpreadMovedItTo(t *testing.T) {
	t.Parallel()
	spread := postdate.Duration(time.Hour)
	s := postdate.Schedule{Tenant: "bank", ID: "settlement_1", Type: "t", DueAt: new(now.Add(24 * time.Hour)), Spread: &spread}
	s.ExpiresAt = new(s.Due(now))
	require.True(t, s.ExpiresAt.After(*s.DueAt))
	var refused *postdate.Error
	require.ErrorAs(t, s.Validate(now, false), &refused)
	require.Equal(t, "/expires_at", refused.Pointer)
	require.Contains(t, refused.Detail, s.Due(now).Format(time.RFC3339), "it says when it would be due")
	*s.ExpiresAt = s.ExpiresAt.Add(time.Millisecond)
	require.NoError(t, s.Validate(now, false))
}

func TestParseDuration_TakesGoAndISO8601(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "PT90S": 90 * time.Second, "PT0.5S": time.Second / 2,
		"P2D": 48 * time.Hour, "P1W": 168 * time.Hour, "P1DT1H1M1S": 25*time.Hour + time.Minute + time.Second,
	} {
		got, err := postdate.ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.Duration(), text)
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
		log = log.Append(postdate.Attempt{Response: strings.Repeat("é", 8000)})
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
