package receiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// TestDefaultKeep_OutlivesEveryCopy does the sum in its documentation.
func TestDefaultKeep_OutlivesEveryCopy(t *testing.T) {
	t.Parallel()
	const retention = 168 * time.Hour // POSTDATE_RETENTION, by default
	retry := postdate.Retry{}.WithDefaults()
	var round time.Duration
	for _, wait := range retry.Schedule {
		longest := time.Duration(float64(wait) * (1 + *retry.Jitter))
		round += max(longest, postdate.MaxRetryAfter) + postdate.DefaultTimeout
	}
	days := func(d time.Duration) float64 { return d.Hours() / 24 }
	require.InDelta(t, 9.1, days(round), 0.05)
	require.InDelta(t, 25.2, days(round+retention+round), 0.05)
	require.Greater(t, DefaultKeep, round+retention+round)
}
