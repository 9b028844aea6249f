package pull

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

const (
	// While consumers wait and nothing comes, the endpoint is asked after firstPoll, and
	// then more and more rarely, up to every longestPoll. A query is recorded nowhere.
	firstPoll   = 20 * time.Millisecond
	longestPoll = 500 * time.Millisecond
	// gatherTime is how long a queue that has just served consumers gathers what the next
	// want, since those that were served together come back together.
	gatherTime = 5 * time.Millisecond
	// busyTime is how long it counts as such a queue.
	busyTime = 200 * time.Millisecond
	// reportInterval is how long reports wait for a pull with which they travel.
	reportInterval = 50 * time.Millisecond
	// updateTimeout bounds an Update.
	updateTimeout = 10 * time.Second
)

// want is what a consumer waits for.
type want struct {
	Request

	lease   string
	result  chan pulled // gets one result
	expired bool        // it waits no longer: under queue.mu
}

// pulled is what a consumer got.
type pulled struct {
	messages []postdate.PulledMessage
	err      error
}

// queue is an endpoint's consumers in this process, and what the endpoint is to be told.
type queue struct {
	store *Store
	ref   protocol.EndpointRef
	woken chan struct{} // has one if the queue is to look at itself

	mu      sync.Mutex
	wants   []*want
	away    int // rounds in which messages are taken
	dry     bool
	reports map[string]protocol.LineStatus
	closed  []int64
	gone    []string
	// reportAt is when the reports are sent by themselves.
	reportAt time.Time
}

func newQueue(s *Store, ref protocol.EndpointRef) *queue {
	return &queue{store: s, ref: ref, woken: make(chan struct{}, 1), reports: make(map[string]protocol.LineStatus)}
}

func (q *queue) wake() {
	select {
	case q.woken <- struct{}{}:
	default:
	}
}

func (q *queue) add(wants ...*want) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range wants {
		w.expired = w.expired || w.Wait == 0
		q.wants = append(q.wants, w)
	}
}

// filled notes that there may be something to take.
func (q *queue) filled() {
	q.mu.Lock()
	q.dry = false
	q.mu.Unlock()
	q.wake()
}

// expire has a want wait no longer: it is answered now, or when it comes back from where
// it is being served.
func (q *queue) expire(w *want) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w.expired = true
	if i := slices.Index(q.wants, w); i >= 0 {
		q.wants = slices.Delete(q.wants, i, i+1)
		w.result <- pulled{}
	}
}

// report notes what the endpoint is to be told.
func (q *queue) report(statuses []protocol.LineStatus, closed []int64, gone []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.reporting() {
		q.reportAt = time.Now().Add(reportInterval)
	}
	for _, status := range statuses {
		if status.Version > q.reports[status.ID].Version {
			q.reports[status.ID] = status
		}
	}
	q.closed, q.gone = append(q.closed, closed...), append(q.gone, gone...)
}

// reporting reports whether the endpoint is to be told something.
func (q *queue) reporting() bool { return len(q.reports)+len(q.closed)+len(q.gone) > 0 }

// run asks the endpoint as long as somebody waits, or something is to be reported.
func (q *queue) run(ctx context.Context) {
	pause := firstPoll
	var served time.Time
	for {
		q.mu.Lock()
		waiting, dry := len(q.wants), q.dry
		reporting, reportAt := q.reporting(), q.reportAt
		q.mu.Unlock()
		switch {
		case waiting == 0 && !reporting:
			if q.ended() {
				return
			}
			q.pause(time.Hour) // until a round is over
		case waiting == 0:
			if wait := time.Until(reportAt); wait <= 0 || !q.pause(wait) {
				q.ask(ctx)
			}
		case dry && !q.pullable(ctx):
			q.answerExpired()
			q.pause(pause)
			pause = min(pause*3/2, longestPoll)
		default:
			if time.Since(served) < busyTime {
				time.Sleep(gatherTime)
			}
			if q.ask(ctx) {
				pause, served = firstPoll, time.Now()
			}
		}
	}
}

// pause waits, and reports whether the queue was woken.
func (q *queue) pause(d time.Duration) (woken bool) {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-q.woken:
		return true
	case <-wait.C:
		return false
	}
}

// ended removes q where it has nothing to do.
func (q *queue) ended() bool {
	q.store.mu.Lock()
	defer q.store.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.wants) > 0 || q.away > 0 || q.reporting() {
		return false
	}
	delete(q.store.queues, q.ref)
	return true
}

// answerExpired answers those that do not wait.
func (q *queue) answerExpired() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wants = slices.DeleteFunc(q.wants, func(w *want) bool {
		if w.expired {
			w.result <- pulled{}
		}
		return w.expired
	})
}

// ask reports to the endpoint, and reserves what the consumers want. It reports whether
// anything was reserved.
func (q *queue) ask(ctx context.Context) bool {
	q.mu.Lock()
	wants := q.wants
	request := protocol.PullRequest{Closed: q.closed, Gone: q.gone}
	for _, status := range q.reports {
		request.Reports = append(request.Reports, status)
	}
	q.wants, q.closed, q.gone, q.reports = nil, nil, nil, make(map[string]protocol.LineStatus)
	q.mu.Unlock()
	for _, w := range wants {
		request.Wants = append(request.Wants, protocol.PullWant{N: w.Max})
	}
	grant, err := q.reserve(ctx, request)
	if err != nil {
		q.report(request.Reports, nil, request.Gone) // reservations end by themselves
		for _, w := range wants {
			w.result <- pulled{err: err}
		}
		if len(wants) == 0 {
			q.pause(longestPoll)
		}
		return false
	}
	var served, left []*want
	var reserved [][]protocol.Reservation
	for n, w := range wants {
		if n < len(grant.Reserved) && len(grant.Reserved[n]) > 0 {
			served, reserved = append(served, w), append(reserved, grant.Reserved[n])
		} else {
			left = append(left, w)
		}
	}
	q.mu.Lock()
	q.dry = len(left) > 0
	if len(served) > 0 {
		q.away++
	}
	q.mu.Unlock()
	q.putBack(left)
	if len(served) > 0 {
		go q.serve(ctx, served, reserved)
	}
	return len(served) > 0
}

// putBack has wants that got nothing wait on, before those that came later.
func (q *queue) putBack(wants []*want) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var waiting []*want
	for _, w := range wants {
		if w.expired {
			w.result <- pulled{}
		} else {
			waiting = append(waiting, w)
		}
	}
	q.wants = append(waiting, q.wants...)
}

// reserve sends an Update to the endpoint's execution, which it starts where there is none.
func (q *queue) reserve(ctx context.Context, request protocol.PullRequest) (grant protocol.PullGrant, err error) {
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	tenant, err := q.store.tenants.Tenant(ctx, q.ref.Tenant)
	if err != nil {
		return protocol.PullGrant{}, err
	}
	request.Settings = protocol.SettingsOf(tenant, q.ref.Endpoint, q.store.maxInFlight)
	err = retry.Update(ctx, q.store.temporal, &retry.Start{
		Options: protocol.EndpointOptions(q.ref.Tenant, q.ref.Endpoint), Workflow: protocol.EndpointWorkflow,
		Input: protocol.EndpointInput{Tenant: q.ref.Tenant, ID: q.ref.Endpoint, Settings: request.Settings},
	}, protocol.EndpointID(q.ref.Tenant, q.ref.Endpoint), protocol.UpdatePull, request, &grant)
	return grant, err
}
