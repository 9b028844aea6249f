package protocol_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// counted are so many attempts, of which some succeeded before all that failed.
func counted(succeeded, failed int) (c protocol.SideCounts) {
	for range succeeded {
		c = c.Count(postdate.Attempt{Outcome: postdate.Accepted, Status: 204, DurationMS: 20})
	}
	for range failed {
		c = c.Count(postdate.Attempt{Outcome: postdate.Failed, Status: 500, DurationMS: 20})
	}
	return c
}

func TestSideCounts_CountByClassAndDuration(t *testing.T) {
	t.Parallel()
	var c protocol.SideCounts
	require.Equal(t, postdate.CanarySide{Answers: map[string]int{}}, c.Side(), "nothing is known")
	for ms := range 1000 {
		c = c.Count(postdate.Attempt{Outcome: postdate.Accepted, Status: 200, DurationMS: int64(ms + 1)})
	}
	c = c.Count(postdate.Attempt{Outcome: postdate.Failed, DurationMS: 15_000})
	c = c.Count(postdate.Attempt{Outcome: postdate.Failed, Status: 404, DurationMS: 1})
	side := c.Side()
	require.Equal(t, 1002, side.Attempts)
	require.Equal(t, 1000, side.Succeeded)
	require.Equal(t, map[string]int{"2xx": 1000, "4xx": 1, "none": 1}, side.Answers)
	require.InEpsilon(t, 500, *side.P50MS, 0.1)
	require.InEpsilon(t, 990, *side.P99MS, 0.1)
	require.Equal(t, 2, c.Trailing)
}

func TestSideCounts_AddTheSameInOneGoAndInTwo(t *testing.T) {
	t.Parallel()
	require.Equal(t, counted(0, 5), counted(0, 3).Add(counted(0, 2)))
	sum := counted(3, 4).Add(counted(2, 1))
	require.Equal(t, 1, sum.Trailing, "a success in between ends the failures before")
	require.Equal(t, 10, sum.Attempts)
	earlier := counted(1, 0)
	_ = earlier.Add(counted(1, 0))
	require.Equal(t, counted(1, 0), earlier, "what was added to is not changed")
}

func TestCanaryRun_IsWorseByAMarginOverAMinimum(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	rollback := &postdate.AutoRollback{Margin: 5, Minimum: 20}
	for name, test := range map[string]struct {
		primary, canary protocol.SideCounts
		trailing        int
		failing         time.Duration
		worse           bool
	}{
		"worse":                            {primary: counted(100, 0), canary: counted(15, 5), worse: true},
		"by no more than the margin":       {primary: counted(100, 0), canary: counted(19, 1)},
		"too few at the canary":            {primary: counted(100, 0), canary: counted(0, 19)},
		"too few at the primary":           {primary: counted(19, 0), canary: counted(0, 200)},
		"both fail":                        {primary: counted(1, 99), canary: counted(0, 100)},
		"better":                           {primary: counted(50, 50), canary: counted(50, 0)},
		"nothing at either":                {},
		"dead, though few":                 {primary: counted(100, 0), canary: counted(0, 9), trailing: 9, failing: 30 * time.Second, worse: true},
		"not dead for long":                {primary: counted(100, 0), canary: counted(0, 9), trailing: 9, failing: 29 * time.Second},
		"not dead often":                   {primary: counted(100, 0), canary: counted(0, 7), trailing: 7, failing: time.Hour},
		"dead, and too few at the primary": {primary: counted(19, 0), canary: counted(0, 9), trailing: 9, failing: time.Hour},
		"dead, and the primary fails too":  {primary: counted(0, 100), canary: counted(0, 9), trailing: 9, failing: time.Hour},
		"dead, and nothing in this time":   {primary: counted(100, 0), trailing: 9, failing: time.Hour},
	} {
		run := protocol.CanaryRun{
			Recent: protocol.CanaryCounts{Primary: test.primary, AtCanary: test.canary}, Trailing: test.trailing, FailingSince: now.Add(-test.failing),
		}
		require.Equal(t, test.worse, run.Worse(rollback, now) != "", name)
		require.Empty(t, run.Worse(nil, now), name)
	}
}

func TestTookOf_IsTheSideOfTheLastAttemptOfTheRound(t *testing.T) {
	t.Parallel()
	require.Empty(t, protocol.TookOf(nil, 0))
	log := postdate.Attempts{}.Append(postdate.Attempt{Canary: "cn_1"})
	require.Equal(t, "cn_1", protocol.TookOf(log, 0))
	require.Empty(t, protocol.TookOf(log, 1), "the next round begins again")
	log = log.Append(postdate.Attempt{})
	require.Equal(t, postdate.TookPrimary, protocol.TookOf(log, 0))
}

func TestSettingsOf_ACanary(t *testing.T) {
	t.Parallel()
	canary := &postdate.Canary{ID: "cn_1", URL: "https://b.example", Entities: []string{"a"}, State: postdate.CanaryRunning, MaxInFlight: 3}
	tenant := &postdate.Tenant{Version: 7, Endpoints: []postdate.Endpoint{{ID: "ep_1", State: postdate.Enabled, Canary: canary}}}
	own := protocol.SettingsOf(tenant, "ep_1", 100)
	require.Equal(t, 100, own.Pace.InFlight)
	require.Equal(t, "cn_1", own.Canary.ID)
	require.Empty(t, own.Canary.URL, "only attempts need it")
	require.Empty(t, own.Canary.Entities)
	there := protocol.SettingsOf(tenant, postdate.CanaryKey("ep_1", "cn_1"), 100)
	require.Equal(t, protocol.EndpointSettings{Version: 7, State: postdate.Enabled, Pace: postdate.Pace{InFlight: 3}}, there)
	require.Empty(t, protocol.SettingsOf(tenant, postdate.CanaryKey("ep_1", "cn_0"), 100).State)
	canary.State = postdate.CanaryRolledBack
	require.Empty(t, protocol.SettingsOf(tenant, postdate.CanaryKey("ep_1", "cn_1"), 100).State, "as if deleted")
}
