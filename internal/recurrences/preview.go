package recurrences

import (
	"context"
	"time"

	"github.com/postdate/postdate"
)

// Preview are up to count ticks of a recurrence that are due from a moment on. They are
// numbered from there.
func (s *Store) Preview(ctx context.Context, tenant string, r postdate.Recurrence, from time.Time, count int) ([]postdate.Tick, error) {
	if r.StartAt == nil {
		r = r.Starting(from)
	}
	if err := s.Validate(ctx, tenant, r); err != nil {
		return nil, err
	}
	rule, err := s.rule(ctx, tenant, r)
	if err != nil {
		return nil, err
	}
	ticks := make([]postdate.Tick, 0, count)
	for tick := range rule.Ticks(postdate.Tick{Moment: postdate.Moment{DueAt: from.Add(-1)}}) {
		if len(ticks) == count {
			break
		}
		ticks = append(ticks, tick)
	}
	return ticks, nil
}
