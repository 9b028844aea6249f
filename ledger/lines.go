package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/persist"
	"github.com/postdate/postdate/workflows"
)

const (
	// lineFills is how long a line is filled before it starts: who goes in line has
	// time. By so much at most the first attempt comes later.
	lineFills = 500 * time.Millisecond
	// lately is how long an endpoint counts as slow after somebody went in line.
	lately = 2 * time.Second
	// maxJoined is of how many endpoints this is remembered before the old are forgotten.
	maxJoined = 1000
	// tellTimeout bounds how long an endpoint is told of a line: an activity's time
	// is a little longer.
	tellTimeout = 8 * time.Second
)

// lining has those wait in one line who come to an endpoint within a moment.
type lining struct {
	mu sync.Mutex
	// filling are the lines that have not started, by endpoint.
	filling map[activities.EndpointRef]*filling
	// joined is when anybody went in line last, as this process saw it.
	joined map[activities.EndpointRef]time.Time
}

func newLining() *lining {
	return &lining{
		filling: make(map[activities.EndpointRef]*filling), joined: make(map[activities.EndpointRef]time.Time),
	}
}

// filling is a line that is being filled.
type filling struct {
	room    workflows.LineRoom
	in      workflows.LineInput
	full    chan struct{} // closed: it starts now
	started chan struct{} // closed: it has, or err says why not
	err     error
}

// Queue has deliveries wait in line for their endpoints, in their order, and answers
// the id of the line of each. Those that come within a moment of each other share one.
func (l *Ledger) Queue(ctx context.Context, all []activities.Queued) ([]string, error) {
	ids := make([]string, len(all))
	lines := make([]*filling, len(all))
	for i, q := range all {
		if q.Line != "" {
			there, err := l.waitsThere(ctx, q)
			if err != nil {
				return nil, err
			}
			if there {
				ids[i] = q.Line
				continue
			}
		}
		if q.Waiter.Message != nil {
			q.Waiter.Key = activities.WaiterKey(*q.Waiter.Message)
		}
		line, first := l.lining.join(q, l.Now())
		if first {
			go l.startLine(context.WithoutCancel(ctx), line) // it serves others too
		}
		lines[i] = line
	}
	for i, line := range lines {
		if line == nil {
			continue
		}
		id, err := line.await(ctx)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

// await waits until the line is durably started.
func (f *filling) await(ctx context.Context) (id string, err error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-f.started:
		return f.in.ID, f.err
	}
}

// waitsThere tells whether the line in which a delivery has waited still runs.
func (l *Ledger) waitsThere(ctx context.Context, q activities.Queued) (bool, error) {
	described, err := l.describe(ctx, workflows.LineID(q.Tenant, q.Endpoint, q.Line), q.Line)
	if postdate.CodeOf(err) == postdate.NotFound {
		return false, nil
	}
	return described.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, err
}

// join gives a waiter its place in a line, and tells whether that is the first in it.
func (n *lining) join(q activities.Queued, now time.Time) (line *filling, first bool) {
	of := activities.EndpointRef{Tenant: q.Tenant, Endpoint: q.Endpoint}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.joined[of] = now; len(n.joined) > maxJoined {
		maps.DeleteFunc(n.joined, func(_ activities.EndpointRef, at time.Time) bool { return now.Sub(at) > lately })
	}
	line = n.filling[of]
	if line != nil && !line.room.Take(q.Endpoint, q.Waiter) {
		close(line.full) // with those that are in it
		line = nil
	}
	if first = line == nil; first {
		made := uuid.Must(uuid.NewV7())
		line = &filling{
			in: workflows.LineInput{
				Tenant: q.Tenant, Endpoint: q.Endpoint, ID: hex.EncodeToString(made[:]), Since: q.Waiter.At,
			},
			full: make(chan struct{}), started: make(chan struct{}),
		}
		line.room.Take(q.Endpoint, q.Waiter)
		n.filling[of] = line
	}
	line.in.Waiters = append(line.in.Waiters, q.Waiter)
	if q.Waiter.At.Before(line.in.Since) {
		line.in.Since = q.Waiter.At
	}
	return line, first
}

// slow tells whether an event can only go in line, wherever it goes.
func (n *lining) slow(tenant string, event workflows.Publication, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.joined) == 0 {
		return false
	}
	for _, endpoint := range event.Endpoints {
		of := activities.EndpointRef{Tenant: tenant, Endpoint: endpoint}
		if at, in := n.joined[of]; !in || now.Sub(at) > lately {
			delete(n.joined, of)
			return false
		}
	}
	return len(event.Endpoints) > 0
}

// leave has nobody join line any more.
func (n *lining) leave(line *filling) {
	of := activities.EndpointRef{Tenant: line.in.Tenant, Endpoint: line.in.Endpoint}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.filling[of] == line {
		delete(n.filling, of)
	}
}

// startLine starts a line once it is full, or has been filled for long enough.
func (l *Ledger) startLine(ctx context.Context, line *filling) {
	defer close(line.started)
	wait := time.NewTimer(lineFills)
	defer wait.Stop()
	select {
	case <-line.full:
	case <-wait.C:
	}
	l.lining.leave(line)
	slices.SortStableFunc(line.in.Waiters, func(a, b activities.Waiter) int { return a.At.Compare(b.At) })
	tenant, err := l.Directory.Tenant(ctx, line.in.Tenant)
	if err != nil {
		line.err = err
		return
	}
	endpoint, _ := tenant.Endpoint(line.in.Endpoint)
	line.in.Coalesce = endpoint.Coalesce
	if _, err := l.execute(ctx, workflows.LineOptions(line.in), workflows.LineName, line.in); err != nil && !errors.Is(err, ErrExists) {
		line.err = fmt.Errorf("start a line for endpoint %s: %w", line.in.Endpoint, err)
	}
}

// JoinLine tells an endpoint that a line waits for its call.
func (l *Ledger) JoinLine(ctx context.Context, line activities.LineUp) error {
	return l.tellEndpoint(ctx, workflows.UpdateJoin, line)
}

// LeaveLine tells an endpoint that what it called of a line is done.
func (l *Ledger) LeaveLine(ctx context.Context, line activities.LineUp) error {
	return l.tellEndpoint(ctx, workflows.UpdateLeave, line)
}

// tellEndpoint has an endpoint's execution take an Update. It is started where
// there is none.
func (l *Ledger) tellEndpoint(ctx context.Context, update string, line activities.LineUp) error {
	ctx, stop := context.WithTimeout(ctx, tellTimeout)
	defer stop()
	tenant, err := l.Directory.Tenant(ctx, line.Tenant)
	if err != nil {
		return err
	}
	err = persist.Update(ctx, l.Temporal, &persist.Start{
		Options: workflows.EndpointOptions(line.Tenant, line.Endpoint), Workflow: workflows.EndpointName,
		Input: workflows.EndpointInput{
			Tenant: line.Tenant, ID: line.Endpoint, Settings: activities.SettingsOf(tenant, line.Endpoint, l.MaxInFlight),
		},
	}, workflows.EndpointID(line.Tenant, line.Endpoint), update, line, nil)
	if err != nil {
		return fmt.Errorf("%s of a line for endpoint %s: %w", update, line.Endpoint, err)
	}
	return nil
}

// SupersedeDelivery tells a waiting delivery that a newer message has taken its place.
func (l *Ledger) SupersedeDelivery(ctx context.Context, tenant, id string) error {
	err := l.Temporal.SignalWorkflow(ctx, workflows.DeliveryID(tenant, id), "", workflows.SignalSuperseded, nil)
	if _, over := errors.AsType[*serviceerror.NotFound](err); over {
		return unknown(id)
	}
	if err != nil {
		return fmt.Errorf("supersede %s: %w", id, err)
	}
	return nil
}
