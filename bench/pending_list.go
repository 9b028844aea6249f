package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// pageSize is how many schedules are asked for at once, and mostPages how often:
// through up to 100,000 the walk is whole.
const (
	pageSize  = 200
	mostPages = 500
)

// listPages walks through the pages, then asks for single entities.
func listPages(ctx context.Context, s *stage, got *measured) error {
	query := url.Values{"state": {"scheduled"}, "limit": {strconv.Itoa(pageSize)}}
	expected := min(len(got.items), pageSize*mostPages)
	seen := make(map[string]bool, expected)
	var times []time.Duration
	for more := true; more && len(times) < mostPages; {
		start := time.Now()
		page, err := s.postdate.list(ctx, query)
		if err != nil {
			return err
		}
		times = append(times, time.Since(start))
		for _, listed := range page.Data {
			seen[listed.ID] = true
		}
		more = page.HasMore
		query.Set("cursor", page.NextCursor)
	}
	if len(seen) != expected {
		return fmt.Errorf("the first %d pages of the list have %d of %d schedules", len(times), len(seen), expected)
	}
	got.ListPages, got.ListMS = len(times), quantilesOf(times)
	return listByEntity(ctx, s, got)
}

func listByEntity(ctx context.Context, s *stage, got *measured) error {
	expected := make(map[string]int, entities)
	for _, i := range got.items {
		expected[i.entity]++
	}
	var times []time.Duration
	for _, i := range got.items[:min(len(got.items), 100)] {
		start := time.Now()
		page, err := s.postdate.list(ctx, url.Values{"entity": {i.entity}, "limit": {strconv.Itoa(pageSize)}})
		if err != nil {
			return err
		}
		times = append(times, time.Since(start))
		if want := min(pageSize, expected[i.entity]); len(page.Data) != want {
			return fmt.Errorf("the list of %s has %d of %d schedules", i.entity, len(page.Data), want)
		}
	}
	got.ListByEntityMS = quantilesOf(times)
	return nil
}
