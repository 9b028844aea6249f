package scenario

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
)

// pageSize is how many schedules are asked for at once, and maxPages how often: up to
// 100,000 the walk is whole.
const (
	pageSize = 200
	maxPages = 500
)

// listPages walks through the list of all that is scheduled.
func (p *pendingRun) listPages(ctx context.Context) error {
	query := url.Values{"state": {"scheduled"}, "limit": {strconv.Itoa(pageSize)}}
	expected := min(len(p.schedules), pageSize*maxPages)
	listed := make(map[string]bool, expected)
	var times []time.Duration
	for more := true; more && len(times) < maxPages; {
		start := time.Now()
		page, err := p.postdate.List(ctx, query)
		if err != nil {
			return err
		}
		times = append(times, time.Since(start))
		for _, schedule := range page.Data {
			listed[schedule.ID] = true
		}
		more = page.HasMore
		query.Set("cursor", page.NextCursor)
	}
	if len(listed) != expected {
		return fmt.Errorf("the first %d pages of the list have %d of %d schedules", len(times), len(listed), expected)
	}
	p.figures.ListPages, p.figures.ListMS = len(times), report.QuantilesOf(times)
	return nil
}

// listByEntity asks for the schedules of single entities.
func (p *pendingRun) listByEntity(ctx context.Context) error {
	const lists = 100
	expected := make(map[string]int, rig.Entities)
	for _, m := range p.schedules {
		expected[m.Entity]++
	}
	var times []time.Duration
	for _, m := range p.schedules[:min(len(p.schedules), lists)] {
		start := time.Now()
		page, err := p.postdate.List(ctx, url.Values{"entity": {m.Entity}, "limit": {strconv.Itoa(pageSize)}})
		if err != nil {
			return err
		}
		times = append(times, time.Since(start))
		if want := min(pageSize, expected[m.Entity]); len(page.Data) != want {
			return fmt.Errorf("the list of %s has %d of %d schedules", m.Entity, len(page.Data), want)
		}
	}
	p.figures.ListByEntityMS = report.QuantilesOf(times)
	return nil
}
