package activities

import (
	"context"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Queue is where deliveries wait for permits, in lines.
type Queue interface {
	// Enqueue enqueues deliveries, in their order, and returns the line of each.
	Enqueue(ctx context.Context, requests []protocol.EnqueueRequest) (lines []string, err error)
	// JoinLine adds a line to its endpoint's queue, and LeaveLine reports that a line
	// that was woken is done.
	JoinLine(ctx context.Context, line protocol.LineStatus) error
	LeaveLine(ctx context.Context, line protocol.LineStatus) error
	// ReportStopped reports to a run of a line that SendLine begins no further attempts.
	ReportStopped(ctx context.Context, workflowID, runID string, stopped protocol.LineStopped) error
}

// Enqueue enqueues deliveries for their endpoints, in their order, and returns the line of
// each. Those that are enqueued within a moment of each other share one.
func (a *Activities) Enqueue(ctx context.Context, requests []protocol.EnqueueRequest) ([]string, error) {
	return a.Queue.Enqueue(ctx, requests)
}

// Supersede signals to waiting deliveries that newer messages replace them. It skips those
// that have ended.
func (a *Activities) Supersede(ctx context.Context, in protocol.SupersedeInput) error {
	for _, id := range in.IDs {
		err := a.Deliveries.SupersedeDelivery(ctx, in.Tenant, id)
		if err != nil && postdate.CodeOf(err) != postdate.NotFound {
			return err
		}
	}
	return nil
}
