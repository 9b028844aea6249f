package postdate_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestRateLimit_RefusesWhatCannotBeHeld(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit   postdate.RateLimit
		pointer string
	}{
		"no rate":       {postdate.RateLimit{Burst: 3}, "/rate_limit"},
		"two rates":     {postdate.RateLimit{PerSecond: 1, PerMinute: 1}, "/rate_limit"},
		"too little":    {postdate.RateLimit{PerMinute: 0.5}, "/rate_limit/per_minute"},
		"too much":      {postdate.RateLimit{PerSecond: 10_001}, "/rate_limit/per_second"},
		"less than 0":   {postdate.RateLimit{PerSecond: -1}, "/rate_limit/per_second"},
		"no number":     {postdate.RateLimit{PerSecond: math.NaN()}, "/rate_limit/per_second"},
		"a burst of -1": {postdate.RateLimit{PerSecond: 1, Burst: -1}, "/rate_limit/burst"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refused *postdate.Error
			require.ErrorAs(t, c.limit.Validate(), &refused)
			require.Equal(t, postdate.Invalid, refused.Code)
			require.Equal(t, c.pointer, refused.Pointer)
		})
	}
	require.NoError(t, postdate.RateLimit{PerMinute: 1}.Validate())
	require.NoError(t, postdate.RateLimit{PerSecond: 10_000, Burst: 10_000}.Validate())
}

func TestEndpoint_HasItsOwnPaceOrTheOperators(t *testing.T) {
	t.Parallel()
	e := postdate.Endpoint{}
	require.False(t, e.Paced())
	require.Equal(t, postdate.Pace{InFlight: 100}, e.Pace(100))

	e.MaxInFlight = 10
	require.True(t, e.Paced())
	require.Equal(t, postdate.Pace{InFlight: 10}, e.Pace(100))

	e.RateLimit = &postdate.RateLimit{PerMinute: 120}
	require.Equal(t, postdate.Pace{InFlight: 10, PerSecond: 2, Burst: 1}, e.Pace(100))
	e.RateLimit = &postdate.RateLimit{PerSecond: 50}
	require.Equal(t, 5, e.Pace(100).Burst, "a tenth of a second's")
	e.RateLimit.Burst = 20
	require.Equal(t, 20, e.Pace(100).Burst)
}
