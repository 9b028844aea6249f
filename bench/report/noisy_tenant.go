package report

import (
	"fmt"
	"io"

	"github.com/postdate/postdate/bench/rig"
)

// NoisyTenant is of the tenant whose burst the others are not to notice.
type NoisyTenant struct {
	NoisyMessages      int        `json:"crowd_messages"`
	NoisyDeliveredPerS float64    `json:"crowd_delivered_per_s"`
	NoisyLatenessMS    *Quantiles `json:"crowd_lateness_ms"`
}

// NoisyTenantOf is of that tenant's messages, which were due at one instant.
func NoisyTenantOf(messages []*rig.Message) *NoisyTenant {
	return &NoisyTenant{
		NoisyMessages:      len(messages),
		NoisyDeliveredPerS: PerSecond(len(messages), rig.LastReceived(messages).Sub(messages[0].Due)),
		NoisyLatenessMS:    LatenessOf(messages),
	}
}

func (n *NoisyTenant) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s: %d messages of another tenant were due meanwhile, at one instant\n", r.Scenario, r.System, n.NoisyMessages)
	fmt.Fprintf(w, "  delivered/s: %.0f; lateness: %.0f ms p50, %.0f ms p99\n", n.NoisyDeliveredPerS, n.NoisyLatenessMS.P50, n.NoisyLatenessMS.P99)
}
