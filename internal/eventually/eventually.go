// Package eventually waits in tests for what happens soon.
package eventually

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// True waits until condition returns true, and fails the test after waitFor. Unlike
// testify's Eventually it calls the condition on the test's own goroutine, so that a
// failure within it ends the test at once.
func True(tb testing.TB, condition func() bool, waitFor, tick time.Duration, msgAndArgs ...any) {
	tb.Helper()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for deadline := time.Now().Add(waitFor); !condition(); {
		if time.Now().After(deadline) {
			require.Fail(tb, "the condition was never satisfied", msgAndArgs...)
		}
		<-ticker.C
	}
}
