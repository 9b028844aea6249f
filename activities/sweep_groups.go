package activities

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Groups changes schedules that share an execution, those at several places of it at once.
type Groups interface {
	// CancelGrouped cancels them for an operation, which they name as their reason where it can.
	CancelGrouped(ctx context.Context, tenant, group string, places []int, operation string) (protocol.SchedulesChanged, error)
	// CancelListed cancels all that were found in several groups. It returns those of which it is
	// not known: they are to be cancelled group by group.
	CancelListed(ctx context.Context, tenant string, found []protocol.Found, operation string) (rest []protocol.Found)
	// ResumeCancel returns how many of those that a filter matches were cancelled since an
	// operation began, and the ids of those that are to be cancelled again.
	ResumeCancel(ctx context.Context, filter postdate.Filter, began time.Time) (done int, again []string, err error)
	// PostponeGrouped puts them off, once for an operation.
	PostponeGrouped(ctx context.Context, tenant, group string, places []int, operation string, by time.Duration) (protocol.SchedulesChanged, error)
}

// groupFunc changes schedules that share an execution, by their places in it.
type groupFunc func(ctx context.Context, tenant, group string, places []int) (protocol.SchedulesChanged, error)

// groupAction is how schedules that share an execution are changed together.
func (a *Activities) groupAction(ctx context.Context, in protocol.SweepInput) groupFunc {
	switch in.Action {
	case protocol.SweepCancel:
		operation := operationOf(ctx, in)
		return func(ctx context.Context, tenant, group string, places []int) (protocol.SchedulesChanged, error) {
			return a.Groups.CancelGrouped(ctx, tenant, group, places, operation)
		}
	case protocol.SweepPostpone:
		operation := activity.GetInfo(ctx).WorkflowExecution.RunID // as in sweepAction
		return func(ctx context.Context, tenant, group string, places []int) (protocol.SchedulesChanged, error) {
			return a.Groups.PostponeGrouped(ctx, tenant, group, places, operation, in.By.Duration())
		}
	case protocol.SweepRetry, protocol.SweepRelease:
	}
	return func(_ context.Context, _, _ string, places []int) (protocol.SchedulesChanged, error) {
		return protocol.SchedulesChanged{Moved: places}, nil // what is dead, or parked, has left its group
	}
}

// operationOf is the id of the operation that a sweep is.
func operationOf(ctx context.Context, in protocol.SweepInput) string {
	return strings.TrimPrefix(activity.GetInfo(ctx).WorkflowExecution.ID, protocol.SweepID(in.Filter.Tenant, ""))
}

// listedFunc changes all schedules of several groups as they were found. It returns those of
// which it is not known.
type listedFunc func(ctx context.Context, tenant string, found []protocol.Found) (rest []protocol.Found)

// listedAction is how groups are changed as they were found: nil where each is to be looked at.
func (a *Activities) listedAction(ctx context.Context, in protocol.SweepInput) listedFunc {
	if in.Action != protocol.SweepCancel {
		return nil
	}
	operation := operationOf(ctx, in)
	return func(ctx context.Context, tenant string, found []protocol.Found) []protocol.Found {
		return a.Groups.CancelListed(ctx, tenant, found, operation)
	}
}

const (
	// maxListed bounds the groups that are changed together, and counted then.
	maxListed = 250
	// maxParallelListed is how many times so many are changed side by side: while some are
	// changed, Temporal's lists come to show others.
	maxParallelListed = 2
)

// changeListed changes those groups that can be as they were found, and returns what is left.
func (s *sweep) changeListed(ctx context.Context, found []protocol.Found) (rest []protocol.Found) {
	if s.changeFound == nil {
		return found
	}
	isListed := func(each protocol.Found) bool { return each.Run != "" }
	listed := slices.DeleteFunc(slices.Clone(found), func(each protocol.Found) bool { return !isListed(each) })
	rest = slices.DeleteFunc(found, isListed)
	parts := slices.Collect(slices.Chunk(listed, maxListed))
	left := make([][]protocol.Found, len(parts))
	var group errgroup.Group
	group.SetLimit(maxParallelListed)
	for n, part := range parts {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			left[n] = s.changeFound(ctx, s.tenant, part)
			s.count(func(p *protocol.SweepProgress) { p.Done += countFound(part) - countFound(left[n]) })
			return nil
		})
	}
	_ = group.Wait()
	return append(rest, slices.Concat(left...)...)
}

// countFound is how many schedules were found in groups.
func countFound(found []protocol.Found) (n int) {
	for _, each := range found {
		n += len(each.Places)
	}
	return n
}

// begin returns those of what was found that were not before, and how many deliveries they are.
func (s *sweep) begin(found []protocol.Found) (first []protocol.Found, n int) {
	for _, each := range found {
		key, places := each.Group, each.Places
		if key == "" {
			key, places = each.ID, []int{0}
			if group, place, shared := postdate.SplitGroupedScheduleID(each.ID); shared {
				key, places = group, []int{place}
			}
		}
		known := s.begun[key]
		places = slices.DeleteFunc(slices.Clone(places), func(place int) bool { return slices.Contains(known, place) })
		if len(places) == 0 {
			continue
		}
		s.begun[key] = append(known, places...)
		if len(places) < len(each.Places) {
			each.Places, each.Run = places, ""
		}
		first, n = append(first, each), n+len(places)
	}
	return first, n
}

// changeTogether changes schedules that share an execution, and counts the results. Those that
// are not in it any more are changed one by one.
func (s *sweep) changeTogether(ctx context.Context, found protocol.Found) {
	var changed protocol.SchedulesChanged
	err := s.try(ctx, func(ctx context.Context) (err error) {
		changed, err = s.changeGroup(ctx, s.tenant, found.Group, found.Places)
		return err
	})
	switch {
	case err == nil:
		s.count(func(p *protocol.SweepProgress) { p.Done += len(changed.Done); p.Skipped += len(changed.Late) })
	case ctx.Err() == nil:
		s.count(func(p *protocol.SweepProgress) { p.Failed += len(found.Places) })
		s.log.LogAttrs(ctx, slog.LevelError, "failed to change schedules that share an execution in a sweep",
			slog.String("tenant", s.tenant), slog.String("delivery", postdate.GroupedScheduleID(found.Group, found.Places[0])),
			slog.Int("schedules", len(found.Places)), slog.String("error", err.Error()))
	}
	for _, place := range changed.Moved {
		if ctx.Err() == nil {
			s.changeOne(ctx, postdate.GroupedScheduleID(found.Group, place))
		}
	}
}
