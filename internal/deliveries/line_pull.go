package deliveries

import (
	"context"
	"time"

	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

// readPulled reads a running line whose endpoint is pulled from: what became of its entries
// stands in many small Updates, so the line is queried.
func (s *Store) readPulled(ctx context.Context, n *line) error {
	run := n.info.GetExecution()
	var read protocol.LineRead
	err := retry.With(ctx, func(ctx context.Context) error {
		answer, err := s.temporal.QueryWorkflow(ctx, run.GetWorkflowId(), run.GetRunId(), protocol.QueryLine)
		if err != nil {
			return err
		}
		return answer.Get(&read)
	})
	if err != nil {
		return err
	}
	n.addResult(read.Result)
	n.addProgress(protocol.LineProgress{Moved: read.Moved})
	n.leased = make(map[int]time.Time)
	for place, lease := range read.Leases {
		if lease.Ended == "" {
			n.leased[place] = lease.Until
		}
	}
	return nil
}
