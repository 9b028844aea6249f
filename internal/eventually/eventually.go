// Package eventually waits in tests for what happens soon.
package eventually

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// patience is how long a test waits before it fails: long enough for a machine that is
	// busy with other things, since tests do not judge how fast anything is.
	patience = 2 * time.Minute
	// A condition is checked again after firstPause, and after longer ones up to maxPause.
	firstPause, maxPause = time.Millisecond, 50 * time.Millisecond
)

// True waits until condition returns true, and fails the test where it does not. Unlike
// testify's Eventually it calls the condition on the test's own goroutine, so that a
// failure within it ends the test at once.
func True(tb testing.TB, condition func() bool, msgAndArgs ...any) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for pause := firstPause; !condition(); pause = min(2*pause, maxPause) {
		if time.Now().After(deadline) {
			require.Fail(tb, "the condition was never satisfied", msgAndArgs...)
		}
		time.Sleep(pause)
	}
}
