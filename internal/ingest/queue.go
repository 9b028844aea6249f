package ingest

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
	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

const (
	// lineInterval is how long a line takes entries before it starts. They wait for
	// permits anyway.
	lineInterval = 500 * time.Millisecond
	// pulledLineInterval is the same for an endpoint that is pulled from, where a consumer
	// may wait for them already.
	pulledLineInterval = 50 * time.Millisecond
	// leaveInterval is how often some of those that joined a line before it started leave.
	leaveInterval = 100 * time.Millisecond
	// queuedRecently is how long an endpoint counts as queued after something was
	// enqueued for it.
	queuedRecently = 2 * time.Second
	// maxQueuedEndpoints is how many endpoints are remembered as queued before old ones
	// are dropped.
	maxQueuedEndpoints = 1000
	// lineTimeout bounds an Update of an endpoint's execution. The timeout of the
	// activity that sends it is a little longer.
	lineTimeout = 8 * time.Second
)

// queueBuilder puts deliveries that are enqueued for an endpoint at about the same
// time into one line.
type queueBuilder struct {
	mu sync.Mutex
	// open are the lines that have not started, by endpoint.
	open map[protocol.EndpointRef]*openLine
	// queuedAt is when this process last enqueued a delivery for an endpoint.
	queuedAt map[protocol.EndpointRef]time.Time
}

func newQueueBuilder() *queueBuilder {
	return &queueBuilder{
		open: make(map[protocol.EndpointRef]*openLine), queuedAt: make(map[protocol.EndpointRef]time.Time),
	}
}

// openLine is a line that takes entries and has not started.
type openLine struct {
	capacity protocol.LineCapacity
	in       protocol.LineInput
	openedAt time.Time
	full     chan struct{} // closed when it is to start now
	started  chan struct{} // closed when it has started at startedAt, or err says why not

	startedAt time.Time
	err       error
}

// Enqueue enqueues deliveries for their endpoints, in their order, and returns the id of
// the line of each. Deliveries that come at about the same time share a line.
func (i *Ingester) Enqueue(ctx context.Context, requests []protocol.EnqueueRequest) ([]string, error) {
	came := i.now()
	ids := make([]string, len(requests))
	lines := make([]*openLine, len(requests))
	for n, request := range requests {
		if request.Line != "" {
			running, err := i.isRunning(ctx, request)
			if err != nil {
				return nil, err
			}
			if running {
				ids[n] = request.Line
				continue
			}
		}
		if request.Entry.Message != nil {
			request.Entry.Key = protocol.CoalesceKey(*request.Entry.Message)
		}
		if err := i.chooseQueue(ctx, &request); err != nil {
			return nil, err
		}
		line, first := i.queues.add(request, came)
		if first {
			go i.flushLine(context.WithoutCancel(ctx), line) // it serves other callers too
		}
		lines[n] = line
	}
	for n, line := range lines {
		if line == nil {
			continue
		}
		id, err := line.await(ctx, came)
		if err != nil {
			return nil, err
		}
		ids[n] = id
	}
	return ids, nil
}

// chooseQueue has a request for a canary that takes nothing any more go to the primary.
func (i *Ingester) chooseQueue(ctx context.Context, request *protocol.EnqueueRequest) error {
	if request.Canary == "" {
		return nil
	}
	tenant, err := i.tenants.Tenant(ctx, request.Tenant)
	if err != nil {
		return err
	}
	endpoint, _ := tenant.Endpoint(request.Endpoint)
	request.Canary = endpoint.Side("", request.Canary)
	return nil
}

// await waits until the line is durably started, and then about as long as who came at that time
// did after it was opened. An execution ends with each that returns: a hundred that end at one
// moment keep whoever comes then waiting, and some cost less at once than each alone.
func (l *openLine) await(ctx context.Context, came time.Time) (id string, err error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-l.started:
	}
	if l.err != nil {
		return "", l.err
	}
	select {
	case <-ctx.Done(): // it is in line all the same
	case <-time.After(time.Until(l.startedAt.Add(came.Sub(l.openedAt).Truncate(leaveInterval)))):
	}
	return l.in.ID, nil
}

// isRunning reports whether the line in which a delivery has waited still runs.
func (i *Ingester) isRunning(ctx context.Context, request protocol.EnqueueRequest) (bool, error) {
	described, err := i.executions.Describe(ctx, protocol.LineID(request.Tenant, request.Endpoint, request.Line), request.Line)
	if postdate.CodeOf(err) == postdate.NotFound {
		return false, nil
	}
	return executions.IsRunning(described.GetWorkflowExecutionInfo()), err
}

// add adds an entry to the endpoint's open line, and reports whether it is the first.
func (b *queueBuilder) add(request protocol.EnqueueRequest, now time.Time) (line *openLine, first bool) {
	ref := protocol.EndpointRef{Tenant: request.Tenant, Endpoint: postdate.CanaryKey(request.Endpoint, request.Canary)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queuedAt[ref] = now; len(b.queuedAt) > maxQueuedEndpoints {
		maps.DeleteFunc(b.queuedAt, func(_ protocol.EndpointRef, at time.Time) bool { return now.Sub(at) > queuedRecently })
	}
	line = b.open[ref]
	if line != nil && !line.capacity.Add(request.Endpoint, request.Entry) {
		close(line.full) // it starts with the entries that it has
		line = nil
	}
	if first = line == nil; first {
		created := uuid.Must(uuid.NewV7())
		line = &openLine{
			in: protocol.LineInput{
				Tenant: request.Tenant, Endpoint: request.Endpoint, Canary: request.Canary, ID: hex.EncodeToString(created[:]), Since: request.Entry.At,
			},
			openedAt: now, full: make(chan struct{}), started: make(chan struct{}),
		}
		line.capacity.Add(request.Endpoint, request.Entry)
		b.open[ref] = line
	}
	line.in.Entries = append(line.in.Entries, request.Entry)
	if request.Entry.At.Before(line.in.Since) {
		line.in.Since = request.Entry.At
	}
	return line, first
}

// onlyQueues reports whether an event can only be queued at all of its endpoints.
func (b *queueBuilder) onlyQueues(tenant string, event protocol.Publication, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queuedAt) == 0 {
		return false
	}
	for _, endpoint := range event.Endpoints {
		ref := protocol.EndpointRef{Tenant: tenant, Endpoint: endpoint}
		if at, ok := b.queuedAt[ref]; !ok || now.Sub(at) > queuedRecently {
			delete(b.queuedAt, ref)
			return false
		}
	}
	return len(event.Endpoints) > 0
}

// close closes a line to further entries.
func (b *queueBuilder) close(line *openLine) {
	ref := protocol.EndpointRef{Tenant: line.in.Tenant, Endpoint: postdate.CanaryKey(line.in.Endpoint, line.in.Canary)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[ref] == line {
		delete(b.open, ref)
	}
}

// flushLine starts a line once it is full, or after lineInterval.
func (i *Ingester) flushLine(ctx context.Context, line *openLine) {
	defer close(line.started)
	wait := time.NewTimer(i.lineInterval(ctx, line))
	defer wait.Stop()
	select {
	case <-line.full:
	case <-wait.C:
	}
	i.queues.close(line)
	slices.SortStableFunc(line.in.Entries, func(a, b protocol.QueueEntry) int { return a.At.Compare(b.At) })
	tenant, err := i.tenants.Tenant(ctx, line.in.Tenant)
	if err != nil {
		line.err = err
		return
	}
	endpoint, _ := tenant.Endpoint(line.in.Endpoint)
	line.in.Coalesce, line.in.Pull = endpoint.Coalesce, endpoint.Pull
	_, err = i.executions.Start(ctx, protocol.LineOptions(line.in), protocol.LineWorkflow, line.in)
	line.startedAt = i.now()
	if err != nil && !errors.Is(err, executions.ErrExists) {
		line.err = fmt.Errorf("start a line for endpoint %s: %w", line.in.Endpoint, err)
	}
}

// lineInterval is how long a line takes entries before it starts.
func (i *Ingester) lineInterval(ctx context.Context, line *openLine) time.Duration {
	tenant, err := i.tenants.Tenant(ctx, line.in.Tenant)
	if err != nil {
		return lineInterval // it is read again
	}
	if endpoint, _ := tenant.Endpoint(line.in.Endpoint); endpoint.Pull {
		return pulledLineInterval
	}
	return lineInterval
}

// JoinLine adds a line to its endpoint's queue. Repeating it does no harm.
func (i *Ingester) JoinLine(ctx context.Context, line protocol.LineStatus) error {
	err := i.updateEndpoint(ctx, protocol.UpdateJoin, line)
	if err == nil && line.Version > 0 {
		i.joined(line.Tenant, line.Endpoint)
	}
	return err
}

// LeaveLine reports to the endpoint that a line it woke is done.
func (i *Ingester) LeaveLine(ctx context.Context, line protocol.LineStatus) error {
	return i.updateEndpoint(ctx, protocol.UpdateLeave, line)
}

// ReportStopped signals to a run of a line that SendLine begins no further attempts. One
// that has ended does not need to know.
func (i *Ingester) ReportStopped(ctx context.Context, workflowID, runID string, stopped protocol.LineStopped) error {
	ctx, stop := context.WithTimeout(ctx, lineTimeout)
	defer stop()
	err := i.temporal.SignalWorkflow(ctx, workflowID, runID, protocol.SignalStopped, stopped)
	if _, over := errors.AsType[*serviceerror.NotFound](err); over {
		return nil
	}
	return err
}

// updateEndpoint sends an Update to an endpoint's execution, which it starts where there
// is none.
func (i *Ingester) updateEndpoint(ctx context.Context, update string, line protocol.LineStatus) error {
	ctx, stop := context.WithTimeout(ctx, lineTimeout)
	defer stop()
	tenant, err := i.tenants.Tenant(ctx, line.Tenant)
	if err != nil {
		return err
	}
	key := postdate.CanaryKey(line.Endpoint, line.Canary)
	err = retry.Update(ctx, i.temporal, &retry.Start{
		Options: protocol.EndpointOptions(line.Tenant, key), Workflow: protocol.EndpointWorkflow,
		Input: protocol.EndpointInput{
			Tenant: line.Tenant, ID: key, Settings: protocol.SettingsOf(tenant, key, i.maxInFlight),
		},
	}, protocol.EndpointID(line.Tenant, key), update, line, nil)
	if err != nil {
		return fmt.Errorf("%s of a line for endpoint %s: %w", update, line.Endpoint, err)
	}
	return nil
}
