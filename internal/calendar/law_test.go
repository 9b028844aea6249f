package calendar

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// ruleIn compiles a recurrence as if a place's clocks were those of another zone,
// as they are when its law changes.
func ruleIn(t *testing.T, law, recurrence string) *Rule {
	t.Helper()
	var r postdate.Recurrence
	require.NoError(t, json.Unmarshal([]byte(recurrence), &r))
	loc, err := LoadZone(law)
	require.NoError(t, err)
	rule, err := compileIn(zone{loc}, r, nil)
	require.NoError(t, err)
	return rule
}

func next(t *testing.T, rule *Rule, last postdate.Tick) postdate.Tick {
	t.Helper()
	tick, ok := rule.Next(last)
	require.True(t, ok)
	return tick
}

const (
	before = "Etc/GMT+3" // three hours behind UTC, as names of this kind mean it
	behind = "Etc/GMT+4"
	ahead  = "Etc/GMT+2"
)

func TestRule_FollowsALawThatChangesBetweenTwoTicks(t *testing.T) {
	t.Parallel()
	const daily = `{"cron":"0 9 * * *","start_at":"2026-12-01T00:00:00Z"}`
	first := next(t, ruleIn(t, before, daily), postdate.Tick{})
	assert.Equal(t, "2026-12-01T12:00:00Z", first.DueAt.Format(time.RFC3339))

	second := next(t, ruleIn(t, ahead, daily), first)
	assert.Equal(t, "2026-12-02T11:00:00Z", second.DueAt.Format(time.RFC3339))
	assert.Equal(t, 2, second.Number)
	assert.Equal(t, "09:00:00-02:00", second.Local.String()[11:]+second.Offset)
}

func TestRule_IsNotDueTwiceAtALocalTimeThatTheLawRepeats(t *testing.T) {
	t.Parallel()
	const daily = `{"cron":"0 9 * * *","start_at":"2026-12-01T00:00:00Z"}`
	first := next(t, ruleIn(t, before, daily), postdate.Tick{})

	// By the new law, clocks show 09:00 an hour after it was due by the old one.
	second := next(t, ruleIn(t, behind, daily), first)
	assert.Equal(t, "2026-12-02T13:00:00Z", second.DueAt.Format(time.RFC3339))

	// Who changes the zone of a recurrence asks for 09:00 there.
	first.Local = postdate.LocalTime{}
	second = next(t, ruleIn(t, behind, daily), first)
	assert.Equal(t, "2026-12-01T13:00:00Z", second.DueAt.Format(time.RFC3339))
}

func TestRule_GoesOnInEveryHourWhateverTheLaw(t *testing.T) {
	t.Parallel()
	for _, recurrence := range []string{
		`{"cron":"*/30 * * * *"}`,
		`{"every":"30m","start_at":"2026-12-01T00:00:00Z"}`,
		`{"rrule":"FREQ=MINUTELY;INTERVAL=30","start_at":"2026-12-01T00:00:00Z"}`,
	} {
		last := postdate.Tick{Moment: postdate.Moment{DueAt: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)}}
		last = next(t, ruleIn(t, before, recurrence), last)
		for _, law := range []string{behind, ahead} {
			tick := next(t, ruleIn(t, law, recurrence), last)
			assert.Equal(t, 30*time.Minute, tick.DueAt.Sub(last.DueAt), "%s, %s", recurrence, law)
		}
	}
}
