package pacer

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

func TestLease_ARateIsKept(t *testing.T) {
	t.Parallel()
	for _, limit := range []postdate.RateLimit{{PerSecond: 50}, {PerSecond: 50, Burst: 1}, {PerSecond: 3, Burst: 10}, {PerMinute: 30}} {
		t.Run(fmt.Sprintf("%+v", limit), func(t *testing.T) {
			t.Parallel()
			at(t, postdate.Endpoint{RateLimit: &limit}, Config{}, func(t *testing.T, f *fixture) {
				t.Helper()
				pace := f.e.Pace(100)
				first := true
				f.gives(func(r leaseCall) (protocol.Lease, error) {
					lease := lend(pace)
					if first { // the pool is full
						lease.Tokens = float64(pace.Burst)
					}
					first = false
					return lease, nil
				})
				f.takes = 7 * time.Millisecond
				const length, window = 2 * time.Minute, 10 * time.Second
				var issued []time.Duration
				done := make(chan struct{})
				permits := make(chan throttle.Permit)
				for range 8 {
					go func() {
						for f.after() < length {
							permit, err := f.p.Acquire(t.Context(), "acme", f.e, dequeued(time.Minute))
							if err != nil || permit == nil {
								break
							}
							permits <- permit
							time.Sleep(31 * time.Millisecond)
							permit.Release(accepted)
						}
						done <- struct{}{}
					}()
				}
				for running := 8; running > 0; {
					select {
					case <-permits:
						issued = append(issued, f.after())
					case <-done:
						running--
					}
				}
				in := pace.PerSecond * window.Seconds()
				for from := time.Duration(0); from+window < length; from += 10 * time.Millisecond {
					n := 0
					for _, at := range issued {
						if at >= from && at < from+window {
							n++
						}
					}
					// One more or less, by where the window begins.
					require.LessOrEqual(t, float64(n), in+float64(pace.Burst)+1e-6, "from %s", from)
					require.GreaterOrEqual(t, float64(n), 0.98*in-1, "from %s", from)
				}
			})
		})
	}
}
