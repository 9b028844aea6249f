package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// crowd is the tenant whose stampede the others are not to feel.
type crowd struct {
	CrowdMessages      int        `json:"crowd_messages"`
	CrowdDeliveredPerS float64    `json:"crowd_delivered_per_s"`
	CrowdLatenessMS    *quantiles `json:"crowd_lateness_ms"`
}

// How often another tenant's message is due while the crowd's are, and for how
// long at most.
const (
	otherInterval = 200 * time.Millisecond
	otherLasts    = 20 * time.Second
)

// tenants: all messages of one tenant are due at one instant, and single ones
// of another from then on. The row is the other's.
func tenants(ctx context.Context, s *stage) (*measured, error) {
	due, err := s.instant(ctx, s.messages)
	if err != nil {
		return nil, err
	}
	many := newItems(s.messages, "crowd", s.receiver.url, due)
	others := newItems(int(otherLasts/otherInterval), "other", s.receiver.url, due)
	for i, other := range others {
		other.due = due.Add(time.Duration(i) * otherInterval)
	}
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	if err := publishAll(ctx, s.postdate.as("crowd"), s.clients, many); err != nil {
		return nil, err
	}
	if err := publishAll(ctx, s.postdate.as("other"), s.clients, others); err != nil {
		return nil, err
	}
	if err := m.idleUntil(ctx, due); err != nil {
		return nil, err
	}
	all := slices.Concat(many, others)
	if err := s.receiver.wait(ctx, len(all), due.Add(otherLasts)); err != nil {
		return nil, err
	}
	got, err := s.finish(ctx, m, all, due)
	if err != nil {
		return nil, err
	}
	got.crowd = crowdOf(many)
	got.items = dueBefore(others, lastOf(many))
	got.cpu = 0 // it is nearly all the crowd's
	return got, nil
}

// as is p acting for another tenant than the default one.
func (p *postdate) as(tenant string) *postdate {
	other := *p
	other.tenant = tenant
	return &other
}

func crowdOf(items []*item) *crowd {
	return &crowd{
		CrowdMessages:      len(items),
		CrowdDeliveredPerS: perSecond(len(items), lastOf(items).Sub(items[0].due)),
		CrowdLatenessMS:    latenessOf(items),
	}
}

// lastOf is when the last of items came.
func lastOf(items []*item) time.Time {
	var last time.Time
	for _, m := range items {
		if m.received.After(last) {
			last = m.received
		}
	}
	return last
}

// dueBefore are those of items that were due before end: later ones met nobody.
func dueBefore(items []*item, end time.Time) []*item {
	var met []*item
	for _, m := range items {
		if m.due.Before(end) {
			met = append(met, m)
		}
	}
	return met
}

func (r *result) writeCrowd(w io.Writer) {
	c := r.crowd
	fmt.Fprintf(w, "\n%s, %s: %d messages of another tenant were due meanwhile, at one instant\n", r.Scenario, r.Engine, c.CrowdMessages)
	fmt.Fprintf(w, "  delivered/s: %.0f; lateness: %.0f ms p50, %.0f ms p99\n", c.CrowdDeliveredPerS, c.CrowdLatenessMS.P50, c.CrowdLatenessMS.P99)
}
