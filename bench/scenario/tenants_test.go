package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestTenants_CountOnlyThoseThatWereDueDuringTheBurst(t *testing.T) {
	t.Parallel()
	due := time.Unix(1_800_000_000, 0)
	noisy := []*rig.Message{
		{Due: due, Received: due.Add(500 * time.Millisecond)},
		{Due: due, Received: due.Add(100 * time.Millisecond)},
	}
	others := []*rig.Message{{Due: due}, {Due: due.Add(499 * time.Millisecond)}, {Due: due.Add(500 * time.Millisecond)}}
	require.Equal(t, others[:2], dueBefore(others, rig.LastReceived(noisy)))
}
