package ingest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenLine_IsLeftAsItWasJoined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opened := time.Now()
		line := &openLine{openedAt: opened, started: make(chan struct{})}
		left := make(chan time.Duration)
		for n := range 5 {
			go func() {
				came := opened.Add(time.Duration(n) * 60 * time.Millisecond)
				time.Sleep(time.Until(came))
				_, err := line.await(t.Context(), came)
				assert.NoError(t, err)
				left <- time.Since(opened)
			}()
		}
		time.Sleep(520 * time.Millisecond) // the time to start it included
		line.startedAt = time.Now()
		close(line.started)
		for _, want := range []int64{520, 520, 620, 620, 720} { // 0, 60, 120, 180 and 240 after it was opened
			require.Equal(t, want, (<-left).Milliseconds())
		}
	})
}
