package consume_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/consume"
)

func TestFewRecordsGatherAndManyDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waited := func(g *consume.Gathering, records int) time.Duration {
			began := time.Now()
			g.Wait(t.Context())
			g.Begin(records)
			return time.Since(began)
		}
		var many consume.Gathering
		require.Zero(t, waited(&many, 1), "the first does not wait")
		require.Equal(t, 100*time.Millisecond, waited(&many, 63))
		require.Equal(t, 100*time.Millisecond, waited(&many, 64))
		require.Zero(t, waited(&many, 1), "the batch before it was full")
		time.Sleep(time.Second) // of the bubble's clock
		require.Zero(t, waited(&many, 1), "nor what comes after a pause")

		few := consume.Gathering{Most: 5}
		require.Zero(t, waited(&few, 5))
		require.Zero(t, waited(&few, 1), "the broker gives no more at once")
		require.Equal(t, 100*time.Millisecond, waited(&few, 1))
	})
}
