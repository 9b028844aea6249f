package pull

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

// maxParallel is how many requests to Temporal one round makes side by side.
const maxParallel = 16

// round takes what was reserved for some consumers.
type round struct {
	*queue

	wants    []*want
	reserved [][]protocol.Reservation

	mu       sync.Mutex
	got      [][][]postdate.PulledMessage // by want, and by its reservation
	err      error
	statuses []protocol.LineStatus
	closed   []int64
	gone     []string
}

// place is where a reservation stands in a round.
type place struct{ want, reservation int }

// serve takes what was reserved, from all lines side by side, and answers the consumers.
func (q *queue) serve(ctx context.Context, wants []*want, reserved [][]protocol.Reservation) {
	r := &round{queue: q, wants: wants, reserved: reserved, got: make([][][]postdate.PulledMessage, len(wants))}
	byLine := make(map[string][]place)
	for n, reservations := range reserved {
		r.got[n] = make([][]postdate.PulledMessage, len(reservations))
		for i, reservation := range reservations {
			byLine[reservation.Line] = append(byLine[reservation.Line], place{n, i})
		}
	}
	var taking errgroup.Group
	taking.SetLimit(maxParallel)
	for line, places := range byLine {
		taking.Go(func() error {
			r.take(ctx, line, places)
			return nil
		})
	}
	_ = taking.Wait() // each has noted its own failure
	q.report(r.statuses, r.closed, r.gone)
	r.answer()
	q.mu.Lock()
	q.away--
	q.mu.Unlock()
	q.wake()
}

// answer answers the consumers. One that got nothing waits on.
func (r *round) answer() {
	var left []*want
	for n, w := range r.wants {
		messages := slices.Concat(r.got[n]...)
		switch {
		case len(messages) > 0:
			w.result <- pulled{messages: messages}
		case r.err != nil:
			w.result <- pulled{err: r.err}
		default:
			left = append(left, w)
		}
	}
	r.putBack(left)
}

// take takes what was reserved in one line.
func (r *round) take(ctx context.Context, line string, places []place) {
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	var request protocol.TakeRequest
	for _, p := range places {
		reservation := r.reserved[p.want][p.reservation]
		request.Takes = append(request.Takes, protocol.Take{
			Lease: r.wants[p.want].lease, N: reservation.N, For: postdate.Duration(r.wants[p.want].Lease), Until: reservation.Until,
		})
		request.Superseded = reservation.Superseded
	}
	var result protocol.TakeResult
	err := r.store.update(ctx, protocol.LineID(r.ref.Tenant, r.ref.Endpoint, line), protocol.UpdateTake, request, &result)
	r.mu.Lock()
	switch {
	case isGone(err):
		r.gone = append(r.gone, line)
		r.mu.Unlock()
		return
	case err != nil:
		r.err = err // the reservation ends by itself
		r.mu.Unlock()
		return
	}
	r.statuses = append(r.statuses, result.Status)
	for _, p := range places {
		r.closed = append(r.closed, r.reserved[p.want][p.reservation].ID)
	}
	r.mu.Unlock()
	for n, p := range places {
		messages := r.messages(ctx, line, r.wants[p.want], result.Taken[n])
		r.mu.Lock()
		r.got[p.want][p.reservation] = messages
		r.mu.Unlock()
	}
}

// messages are what was taken for a consumer. Deliveries with executions of their own lend
// theirs; the line no longer has those that do not.
func (r *round) messages(ctx context.Context, line string, w *want, taken []protocol.TakenEntry) []postdate.PulledMessage {
	messages := make([]*postdate.PulledMessage, len(taken))
	refused := make([]bool, len(taken))
	var lending errgroup.Group
	lending.SetLimit(maxParallel)
	for i, entry := range taken {
		receipt := postdate.Receipt{Line: line, Place: entry.Place, Lease: w.lease, Attempt: 1, DeliveryID: entry.DeliveryID}
		if entry.Message != nil {
			messages[i] = &postdate.PulledMessage{
				Message: *entry.Message, DeliveryID: entry.DeliveryID, Attempt: 1, Receipt: receipt.String(),
				LeaseUntil: entry.Until, ExpiresAt: entry.ExpiresAt,
			}
			continue
		}
		lending.Go(func() error {
			messages[i], refused[i] = r.lend(ctx, receipt, w)
			return nil
		})
	}
	_ = lending.Wait() // none returns an error
	var leaving []protocol.Settlement
	var lent []postdate.PulledMessage
	for i, entry := range taken {
		if refused[i] {
			leaving = append(leaving, protocol.Settlement{Place: entry.Place, Lease: w.lease, Action: protocol.ReturnAction, Own: true})
		}
		if messages[i] != nil {
			lent = append(lent, *messages[i])
		}
	}
	if len(leaving) > 0 {
		_, _ = r.store.settling.call(ctx, lineRef{r.ref, line}, leaving) // without it, the line's leases end
	}
	return lent
}

// lend leases a delivery that has an execution of its own. It reports refused where that
// waits in this line no longer.
func (r *round) lend(ctx context.Context, receipt postdate.Receipt, w *want) (m *postdate.PulledMessage, refused bool) {
	var lent protocol.Lent
	err := r.store.update(ctx, protocol.DeliveryID(r.ref.Tenant, receipt.DeliveryID), protocol.UpdateLend,
		protocol.LendRequest{Line: receipt.Line, Lease: receipt.Lease, For: postdate.Duration(w.Lease)}, &lent)
	if err != nil || lent.Message == nil {
		return nil, err == nil || isGone(err)
	}
	receipt.Own, receipt.Attempt = true, lent.Number
	return &postdate.PulledMessage{
		Message: *lent.Message, DeliveryID: receipt.DeliveryID, Attempt: lent.Number, Receipt: receipt.String(),
		LeaseUntil: lent.Until, ExpiresAt: lent.ExpiresAt,
	}, false
}

// update sends an Update to an execution that exists. Its error is [errGone] where that has
// ended.
func (s *Store) update(ctx context.Context, workflowID, name string, arg, result any) error {
	send := retry.NewUpdate(s.temporal, nil, workflowID, name, result, arg)
	return retry.With(ctx, func(ctx context.Context) error { return s.goneOr(ctx, workflowID, send(ctx)) })
}
