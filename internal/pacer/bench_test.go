package pacer

import (
	"testing"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// BenchmarkCalm is what a turn costs at an endpoint that nothing bounds: for that
// it is asked on each attempt.
func BenchmarkCalm(b *testing.B) {
	p := newPacer(Config{Tenants: &tenants{}, MaxInFlight: 10_000}, &leaseSourceFake{start: time.Now(), give: never})
	defer p.Close()
	e := postdate.Endpoint{ID: "ep_1", State: postdate.Enabled}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			turn, err := p.Acquire(b.Context(), "acme", e, throttle.PermitRequest{})
			if err != nil || turn == nil {
				b.Fatal("no turn", err)
			}
			turn.Release(accepted)
		}
	})
}
