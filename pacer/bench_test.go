package pacer

import (
	"testing"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// BenchmarkCalm is what a turn costs at an endpoint that nothing bounds: for that
// it is asked on each attempt.
func BenchmarkCalm(b *testing.B) {
	p := newPacer(Config{Directory: &tenants{}, MaxInFlight: 10_000}, &office{start: time.Now(), give: never})
	defer p.Close()
	e := postdate.Endpoint{ID: "ep_1", State: postdate.Enabled}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			turn, err := p.Take(b.Context(), "acme", e, activities.Claim{})
			if err != nil || turn == nil {
				b.Fatal("no turn", err)
			}
			turn.Done(accepted)
		}
	})
}
