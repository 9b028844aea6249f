package pull

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// SettleRequest is what a consumer says of messages that it has leased.
type SettleRequest struct {
	Action   postdate.SettleAction
	Receipts []string
	// RetryAfter and Reason belong to a nack, and Lease to an extension.
	RetryAfter, Lease postdate.Duration
	Reason            string
}

// settling is a request under way.
type settling struct {
	*Store
	SettleRequest

	ref      protocol.EndpointRef
	receipts []postdate.Receipt
	settled  []postdate.Settled
	decided  []bool // by the delivery's own execution
}

// Settle settles leases, and returns what became of each receipt, in their order. An error
// is one of our own: then the same request can be made again.
func (s *Store) Settle(ctx context.Context, tenant, endpoint string, r SettleRequest) ([]postdate.Settled, error) {
	g := &settling{
		Store: s, SettleRequest: r, ref: protocol.EndpointRef{Tenant: tenant, Endpoint: endpoint},
		receipts: make([]postdate.Receipt, len(r.Receipts)), settled: make([]postdate.Settled, len(r.Receipts)),
		decided: make([]bool, len(r.Receipts)),
	}
	byLine := make(map[string][]int)
	own := make([]int, 0)
	for i, text := range r.Receipts {
		g.settled[i] = postdate.Settled{Receipt: text, Result: postdate.UnknownReceipt}
		receipt, ok := postdate.ParseReceipt(text)
		if !ok {
			continue
		}
		g.receipts[i] = receipt
		byLine[receipt.Line] = append(byLine[receipt.Line], i)
		if receipt.Own {
			own = append(own, i)
		}
	}
	// A delivery's own execution decides; then its line is told.
	err := forEach(own, func(i int) error { return g.settleOwn(ctx, i) })
	if err != nil {
		return nil, err
	}
	lines := make([]string, 0, len(byLine))
	for line := range byLine {
		lines = append(lines, line)
	}
	if err := forEach(lines, func(line string) error { return g.settleIn(ctx, line, byLine[line]) }); err != nil {
		return nil, err
	}
	return g.settled, nil
}

// forEach calls do with each item, some side by side.
func forEach[T any](items []T, do func(T) error) error {
	var group errgroup.Group
	group.SetLimit(maxParallel)
	for _, item := range items {
		group.Go(func() error { return do(item) })
	}
	return group.Wait() //nolint:wrapcheck // it is that of do
}

// settlement is what is said of the i-th receipt.
func (g *settling) settlement(i int) protocol.Settlement {
	receipt := g.receipts[i]
	return protocol.Settlement{
		Place: receipt.Place, Lease: receipt.Lease, Action: g.Action, RetryAfter: g.RetryAfter, Reason: g.Reason, For: g.Lease, Own: receipt.Own,
	}
}

// settleOwn settles the lease of a delivery that has an execution of its own.
func (g *settling) settleOwn(ctx context.Context, i int) error {
	g.decided[i] = true
	var response protocol.SettleResponse
	err := g.update(ctx, protocol.DeliveryID(g.ref.Tenant, g.receipts[i].DeliveryID), protocol.UpdateSettle,
		protocol.SettleRequest{Settlements: []protocol.Settlement{g.settlement(i)}}, &response)
	if isGone(err) {
		return g.find(ctx, i)
	}
	if err != nil {
		return err
	}
	settled := response.Settled[0]
	if settled.Result == postdate.LeaseEnded && g.Action != protocol.ReturnAction {
		return g.find(ctx, i)
	}
	g.take(ctx, i, settled)
	return nil
}

// settleIn settles leases in one line.
func (g *settling) settleIn(ctx context.Context, line string, receipts []int) error {
	settlements := make([]protocol.Settlement, len(receipts))
	for n, i := range receipts {
		settlements[n] = g.settlement(i)
	}
	settled, err := g.settling.call(ctx, lineRef{g.ref, line}, settlements)
	if err != nil && !isGone(err) {
		return err
	}
	for n, i := range receipts {
		switch {
		case g.decided[i]:
		case err != nil:
			if err := g.find(ctx, i); err != nil {
				return err
			}
		default:
			g.take(ctx, i, settled[n])
		}
	}
	return nil
}

// settleLine sends settlements to a line, and notes for its endpoint what it is now.
func (s *Store) settleLine(ctx context.Context, of lineRef, settlements []protocol.Settlement) ([]protocol.Settled, error) {
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	var response protocol.SettleResponse
	err := s.update(ctx, protocol.LineID(of.Tenant, of.Endpoint, of.line), protocol.UpdateSettle,
		protocol.SettleRequest{Settlements: settlements}, &response)
	if err != nil {
		return nil, err
	}
	//nolint:contextcheck // a queue serves many callers, and outlives each
	q := s.queue(of.EndpointRef, func(q *queue) { q.report([]protocol.LineStatus{response.Status}, nil, nil) })
	q.filled()
	return response.Settled, nil
}

// take notes what became of the i-th receipt, and logs the attempt that it has ended.
func (g *settling) take(ctx context.Context, i int, settled protocol.Settled) {
	g.settled[i].Result, g.settled[i].LeaseUntil = settled.Result, settled.Until
	if !settled.First {
		return
	}
	receipt := g.receipts[i]
	message := receipt.DeliveryID
	if event, _, ok := postdate.SplitDeliveryID(message); ok {
		message = event
	}
	level, outcome := slog.LevelInfo, postdate.Accepted
	if g.Action == postdate.Nack {
		level, outcome = slog.LevelWarn, postdate.Failed
	}
	g.log.LogAttrs(ctx, level, "attempt",
		slog.String("tenant", g.ref.Tenant), slog.String("id", message), slog.String("type", settled.Type),
		slog.String("entity", settled.Entity), slog.Int("attempt", receipt.Attempt), slog.String("outcome", string(outcome)),
		slog.Int64("duration_ms", settled.DurationMS), slog.String("endpoint", g.ref.Endpoint), slog.String("delivery", receipt.DeliveryID))
}

// find reads what became of a lease whose execution has ended, or has another: an
// acknowledgement, or a nack, that is repeated is answered as the first was.
func (g *settling) find(ctx context.Context, i int) error {
	receipt := g.receipts[i]
	delivery, err := g.deliveries.Get(ctx, g.ref.Tenant, receipt.DeliveryID)
	switch {
	case postdate.CodeOf(err) == postdate.NotFound || err == nil && delivery.To.Endpoint != g.ref.Endpoint:
		return nil // unknown
	case err != nil:
		return err
	}
	g.settled[i].Result = postdate.LeaseEnded
	switch {
	case delivery.State == postdate.Cancelled:
		g.settled[i].Result = postdate.LeaseCancelled
	case g.Action == postdate.Ack && delivery.State == postdate.Delivered && len(delivery.Attempts) > 0 && delivery.Attempts.Last().Number == receipt.Attempt:
		g.settled[i].Result = postdate.Acknowledged
	case g.Action == postdate.Nack && wasNacked(delivery.Attempts, receipt.Attempt):
		g.settled[i].Result = postdate.Nacked
	}
	return nil
}

// wasNacked reports whether a consumer's nack ended the attempt of that number.
func wasNacked(log postdate.Attempts, number int) bool {
	return slices.ContainsFunc(log, func(a postdate.Attempt) bool {
		return a.Number == number && a.Outcome == postdate.Failed && strings.HasPrefix(a.Error, protocol.NackedError)
	})
}

// errGone says that an execution has ended, or was never there.
var errGone = errors.New("it has ended")

func isGone(err error) bool { return errors.Is(err, errGone) }

// goneOr is errGone where an Update failed since its execution has ended, and not since it
// continues as new.
func (s *Store) goneOr(ctx context.Context, workflowID string, err error) error {
	if _, missing := errors.AsType[*serviceerror.NotFound](err); !missing {
		return err
	}
	described, lookErr := s.executions.Describe(ctx, workflowID, workflowID)
	if postdate.CodeOf(lookErr) == postdate.NotFound || lookErr == nil && !executions.IsRunning(described.GetWorkflowExecutionInfo()) {
		return errGone
	}
	return err
}
