package pacer

import (
	"testing"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// BenchmarkAcquire is the price of a permit at an unleased endpoint, which each attempt pays.
func BenchmarkAcquire(b *testing.B) {
	p := newPacer(Config{Tenants: &tenants{}, MaxInFlight: 10_000}, &leaseSourceFake{start: time.Now(), give: never})
	defer p.Close()
	e := postdate.Endpoint{ID: "ep_1", State: postdate.Enabled}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			permit, err := p.Acquire(b.Context(), "acme", e, throttle.PermitRequest{})
			if err != nil || permit == nil {
				b.Fatal("no permit", err)
			}
			permit.Release(accepted)
		}
	})
}
