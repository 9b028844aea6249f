package workflows

import (
	"math"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

const (
	// reservationTime is how long a process has to take what was reserved for it. If it
	// dies before, others may have it then.
	reservationTime = 30 * time.Second
	// maxPullLines bounds the lines from which one pull is served, and with them its bytes.
	maxPullLines = 16
)

// pull answers [protocol.UpdatePull]. What is in flight is what lines report as leased, and
// what is reserved until they have: so a report that is lost costs time, and never lets
// more be in flight than may be.
func (e *endpoint) pull(ctx workflow.Context, r protocol.PullRequest) (protocol.PullGrant, error) {
	e.updateSettings(r.Settings)
	e.markBusy(ctx)
	now := workflow.Now(ctx)
	for _, status := range r.Reports {
		e.report(status)
	}
	for _, id := range r.Gone {
		e.remove(id)
	}
	e.closeReservations(r.Closed, now)
	if e.deleted() {
		e.apply(ctx, nil) // wakes the lines, so that they end
	}
	if len(r.Wants) == 0 {
		return protocol.PullGrant{}, nil
	}
	var plan protocol.PullPlan
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any { return e.planPull(r.Wants, now) })
	if err := recorded.Get(&plan); err != nil {
		panic(err) // the task is retried: a plan cannot be guessed
	}
	for _, reserved := range plan.Grant.Reserved {
		for _, r := range reserved {
			e.reserve(protocol.OpenReservation{ID: r.ID, Line: r.Line, N: r.N, Until: r.Until})
			e.LastReservation = max(e.LastReservation, r.ID)
		}
	}
	e.Pool = protocol.TokenPool{Tokens: plan.Tokens, At: now}
	return plan.Grant, nil
}

// planPull decides what each consumer gets: of the oldest lines first. It changes nothing:
// its result is recorded, and is carried out as recorded.
func (e *endpoint) planPull(wants []protocol.PullWant, now time.Time) protocol.PullPlan {
	budget, tokens := e.pullBudget(now)
	plan := protocol.PullPlan{Grant: protocol.PullGrant{Reserved: make([][]protocol.Reservation, len(wants))}, Tokens: tokens}
	id := max(e.LastReservation, now.UnixMicro())
	want, lines := 0, 0
	left := 0
	if len(wants) > 0 {
		left = wants[0].N
	}
	for line := range e.queue.available() {
		free := line.counted
		for free > 0 && budget > 0 && want < len(wants) {
			if left == 0 || lines == maxPullLines {
				if want, lines = want+1, 0; want < len(wants) {
					left = wants[want].N
				}
				continue
			}
			n := min(free, left, budget)
			id++
			plan.Grant.Reserved[want] = append(plan.Grant.Reserved[want], protocol.Reservation{
				ID: id, Line: line.ID, N: n, Until: now.Add(reservationTime), Superseded: supersededIn(line.QueuedLine),
			})
			free, left, budget, lines = free-n, left-n, budget-n, lines+1
			if e.Settings.Pace.PerSecond > 0 {
				plan.Tokens -= float64(n)
			}
		}
		if budget == 0 || want == len(wants) {
			break
		}
	}
	return plan
}

// pullBudget is how many messages may be leased now, and the tokens of the rate.
func (e *endpoint) pullBudget(now time.Time) (n int, tokens float64) {
	pace := e.pace(e.Throttle, now)
	tokens = tokensAt(e.Pool, now, pace, e.Leases)
	n = pace.InFlight - e.leased(now)
	if pace.PerSecond > 0 {
		n = min(n, int(tokens+1e-9))
	}
	return max(0, n), tokens
}

// leased is how many messages consumers have leased, or are about to.
func (e *endpoint) leased(now time.Time) int {
	n := e.queue.leased
	for _, r := range e.Reserved {
		if r.Until.After(now) {
			n += r.N
		}
	}
	return n
}

// reserve enters a reservation.
func (e *endpoint) reserve(r protocol.OpenReservation) {
	e.Reserved = append(e.Reserved, r)
	if line, ok := e.queue.byID[r.Line]; ok {
		line.reserved += r.N
		e.queue.recount(line)
	}
}

// closeReservations removes the reservations that were used, and those that have ended.
func (e *endpoint) closeReservations(used []int64, now time.Time) {
	closed := make(map[int64]bool, len(used))
	for _, id := range used {
		closed[id] = true
	}
	var open []protocol.OpenReservation
	for _, r := range e.Reserved {
		line, ok := e.queue.byID[r.Line]
		if ok && !closed[r.ID] && r.Until.After(now) {
			open = append(open, r)
			continue
		}
		if ok {
			line.reserved -= r.N
			e.queue.recount(line)
		}
	}
	e.Reserved = open
}

// restoreReservations counts the reservations that an earlier run has left.
func (e *endpoint) restoreReservations() {
	left := e.Reserved
	e.Reserved = nil
	for _, r := range left {
		e.reserve(r)
	}
}

// report enters what a line reports that is pulled from. One that is older than what is
// known changes nothing.
func (e *endpoint) report(status protocol.LineStatus) {
	line, known := e.queue.byID[status.ID]
	switch {
	case !known && (status.Waiting == 0 || e.queue.len() >= maxLines):
	case !known:
		e.coalesce(e.queue.insert(queuedLine(status)), status.Keys)
	case status.Waiting == 0:
		e.remove(status.ID)
	case status.Version > line.Version:
		e.queue.report(line, status)
	}
}

// pullable answers [protocol.QueryPullable]. The time of a query is that of the last event,
// so the caller says what time it is.
func (e *endpoint) pullable(now time.Time) (protocol.Pullable, error) {
	waiting := e.queue.waiting
	for _, r := range e.Reserved {
		if !r.Until.After(now) { // it is free again
			waiting += r.N
		}
	}
	budget, tokens := e.pullBudget(now)
	p := protocol.Pullable{N: min(waiting, budget)}
	if pace := e.pace(e.Throttle, now); waiting > 0 && p.N == 0 && pace.PerSecond > 0 && tokens < 1 {
		p.RetryAt = now.Add(time.Duration(math.Ceil((1 - tokens) / pace.PerSecond * float64(time.Second)))).UTC()
	}
	return p, nil
}

// pullHealth adds to an endpoint's health what consumers have leased.
func (e *endpoint) pullHealth(h *postdate.Health, now time.Time) {
	h.Leased = e.leased(now)
	h.InFlight = h.Leased
	h.Waiting = e.queue.waiting
	for line := range e.queue.available() {
		h.OldestWaiting = time.UnixMilli(line.Since).UTC()
		break
	}
}
