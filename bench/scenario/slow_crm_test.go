package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// receivedAfter are n messages that arrived so long after they were sent.
func receivedAfter(n int, receipt time.Duration) []*rig.Message {
	sent := time.Unix(1_800_000_000, 0)
	messages := rig.NewMessages(n, "test", "", time.Time{})
	for _, m := range messages {
		m.Sent, m.Received = sent, sent.Add(receipt)
	}
	return messages
}

func TestTwoStreams_CompareTheFastOneWithItselfAlone(t *testing.T) {
	t.Parallel()
	s := &twoStreams{alone: receivedAfter(100, 5*time.Millisecond), fast: receivedAfter(100, 7500*time.Microsecond)}
	s.compareFast()
	require.InDelta(t, 1.5, s.figures.FastRatio, 0)
	require.InDelta(t, 5.0, s.figures.FastAloneMS.P99, 0)
}

func TestTwoStreams_DivideTemporalsWorkByThoseThatWaited(t *testing.T) {
	t.Parallel()
	s := &twoStreams{slow: make([]*rig.Message, 900), fast: make([]*rig.Message, 100), early: 100}
	s.figures.Transitions = map[string]float64{system.Line: 720, system.Endpoint: 80, system.Dispatch: 500}
	s.shareTransitions()
	require.InDelta(t, 1.5, s.figures.TransitionsPerWaiting, 0, "one of its own, and half of what carries all")
}
