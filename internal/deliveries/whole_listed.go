package deliveries

import (
	"context"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// CancelListed cancels groups of schedules for an operation as a list showed them, however long
// ago: it ends the runs that slept then, where all that waited in them were found and none is due
// soon. It looks at none before, and at all of them together afterwards. It returns those of which
// that does not say that all were cancelled: what happened to them is to be found one by one, by
// [Store.CancelGrouped].
//
// A run carries what the list showed as long as nothing wakes it, and what was changed since
// is carried by a later run, or has left a history longer than that of one that slept.
func (s *Store) CancelListed(ctx context.Context, tenant string, found []protocol.Found, operation string) (rest []protocol.Found) {
	ended := make([]bool, len(found))
	var ending errgroup.Group
	ending.SetLimit(maxParallel / 2) // others are looked at meanwhile
	for n, group := range found {
		ending.Go(func() error {
			ended[n] = s.endListed(ctx, tenant, group, operation)
			return nil
		})
	}
	_ = ending.Wait()
	var runs []string
	for n, group := range found {
		if ended[n] {
			runs = append(runs, group.Run)
		}
	}
	slept := s.sleptUntilEnded(ctx, runs)
	return slices.DeleteFunc(slices.Clone(found), func(group protocol.Found) bool { return slept[group.Run] })
}

// endListed ends the run in which schedules were found, and reports whether it did.
func (s *Store) endListed(ctx context.Context, tenant string, found protocol.Found, operation string) bool {
	if found.Run == "" || found.DueAt.Before(s.now().Add(wholeLead)) {
		return false
	}
	ctx, stop := context.WithTimeout(ctx, wholeTimeout)
	defer stop()
	return s.temporal.TerminateWorkflow(ctx, protocol.ScheduleGroupID(tenant, found.Group), found.Run, protocol.CancelledBy(operation)) == nil
}

// maxRunsListed bounds the runs that one query names.
const maxRunsListed = 100

// sleptUntilEnded are those of some runs of groups that nothing had woken when they were ended. Of
// those that lists do not show as ended yet it is not known.
func (s *Store) sleptUntilEnded(ctx context.Context, runs []string) map[string]bool {
	slept := make(map[string]bool)
	for part := range slices.Chunk(runs, maxRunsListed) {
		quoted := make([]string, len(part))
		for n, run := range part {
			quoted[n] = executions.Quote(run)
		}
		page, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: s.executions.Namespace(), PageSize: maxRunsListed,
			Query: "ExecutionStatus = 'Terminated' AND RunId IN (" + strings.Join(quoted, ", ") + ")",
		})
		if err != nil {
			break
		}
		for _, info := range page.GetExecutions() {
			if info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED && info.GetHistoryLength() == asleepEvents+1 {
				slept[info.GetExecution().GetRunId()] = true
			}
		}
	}
	return slept
}
