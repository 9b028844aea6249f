package protocol

import (
	"cmp"
	"fmt"
	"time"

	"github.com/postdate/postdate"
)

// Delivery is the delivery that in describes, without its state.
func (in DeliverInput) Delivery(accepted Accepted, tenant *postdate.Tenant) postdate.Delivery {
	return postdate.Delivery{
		ID:            in.Shipment.ID(),
		Message:       in.Shipment.Message,
		To:            in.Shipment.To,
		DueAt:         in.Shipment.DueAt,
		Local:         in.Local,
		CreatedAt:     accepted.At,
		ExpiresAt:     in.ExpiresAt,
		Import:        in.Import,
		Timeout:       in.Shipment.timeout(tenant),
		Retry:         in.Retry,
		Attempts:      in.Attempts,
		RequestDigest: accepted.Digest,
	}
}

// timeout bounds each attempt: the task's own timeout, or the one its endpoint has now.
func (s DeliveryTask) timeout(tenant *postdate.Tenant) postdate.Duration {
	endpoint, _ := tenant.Endpoint(s.To.Endpoint)
	return cmp.Or(s.Timeout, endpoint.Timeout, postdate.Duration(postdate.DefaultTimeout))
}

// SetUnstarted sets the state of a delivery whose execution has not started. It starts
// delay after the delivery is due where many of the tenant's are due in the same second.
func SetUnstarted(d *postdate.Delivery, delay time.Duration, now time.Time) {
	if starts := d.DueAt.Add(delay); starts.After(now) {
		d.State, d.NextAttemptAt, d.Reason = postdate.Scheduled, starts, "sleeps until it is due"
		if longer := delay.Round(time.Second); longer > 0 {
			d.Reason += fmt.Sprintf(", and %s longer: many of the tenant's are due at that moment", longer)
		}
		return
	}
	d.State = postdate.Sending
	d.Reason = fmt.Sprintf("due since %s: waits for a worker to take it up", d.DueAt.Format(time.RFC3339))
}
