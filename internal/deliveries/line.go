package deliveries

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// line is what was read of a Line.
type line struct {
	info  *workflowpb.WorkflowExecutionInfo
	input protocol.LineInput
	// By the place of their entry: its attempt, why and when it was cancelled, whether
	// it has left for an execution of its own, and whether its attempt is under way.
	attempts    map[int]postdate.Attempt
	cancelled   map[int]string
	cancelledAt map[int]time.Time
	left        map[int]bool
	sending     map[int]bool
	// leased says until when a consumer has it, where the endpoint is pulled from.
	leased map[int]time.Time
}

func (n *line) running() bool {
	return n.info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// lineID is the workflow id of a line.
func lineID(tenant, endpoint, id string) string {
	prefix := protocol.LineID(tenant, endpoint, "")
	return prefix + strings.TrimPrefix(id, prefix)
}

// state is the state of the entry at a place. It reports false for one that has left n:
// an entry whose attempt failed leaves at once, or when all that were woken with it are
// done.
func (n *line) state(place int, now time.Time) (postdate.State, bool) {
	_, cancelled := n.cancelled[place]
	attempt := n.attempts[place]
	switch {
	case n.left[place]:
		return "", false
	case cancelled:
		return postdate.Cancelled, true
	case attempt.Outcome == postdate.Accepted:
		return postdate.Delivered, true
	case protocol.Attempted(attempt.Outcome):
		return postdate.Retrying, n.running()
	case n.running() && (n.sending[place] || !n.leased[place].IsZero()):
		return postdate.Sending, true
	case n.running():
		return postdate.Waiting, true
	}
	state := stateOf(n.info, now)
	return state, state != postdate.Delivered
}

// endedAt is when the entry at a place ended: zero where it has not.
func (n *line) endedAt(place int) time.Time {
	if at, cancelled := n.cancelledAt[place]; cancelled {
		return at
	}
	if attempt := n.attempts[place]; attempt.Outcome == postdate.Accepted {
		return endOf(attempt)
	}
	return asTime(n.info.GetCloseTime())
}

// endOf is when an attempt was over.
func endOf(attempt postdate.Attempt) time.Time {
	return attempt.At.Add(time.Duration(attempt.DurationMS) * time.Millisecond)
}

// before is how many entries wait in n before a place, and the place of the first.
func (n *line) before(place int, now time.Time) (count, first int) {
	for earlier := place - 1; earlier >= 0; earlier-- {
		if state, in := n.state(earlier, now); in && state == postdate.Waiting {
			count, first = count+1, earlier
		}
	}
	return count, first
}

// readLine reads a Line. An error names what the caller looks for by id.
func (s *Store) readLine(ctx context.Context, workflowID, id string) (*line, error) {
	described, err := s.executions.Describe(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	n := &line{
		info: described.GetWorkflowExecutionInfo(), attempts: make(map[int]postdate.Attempt),
		cancelled: make(map[int]string), cancelledAt: make(map[int]time.Time), left: make(map[int]bool), sending: make(map[int]bool),
	}
	if err := s.executions.ReadInput(ctx, n.info, &n.input); err != nil {
		return nil, err
	}
	n.addResult(n.input.Result)
	n.addProgress(protocol.LineProgress{Moved: n.input.Moved})
	if n.input.Pull && n.running() {
		return n, s.readPulled(ctx, n)
	}
	if err := s.readLineHistory(ctx, n); err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", workflowID, err)
	}
	var group protocol.Group
	if err := s.executions.ReadMemo(n.info, protocol.MemoGroup, &group); err != nil {
		return nil, err
	}
	n.addCancelled(group)
	if !n.running() {
		return n, nil
	}
	for _, pending := range described.GetPendingActivities() {
		if pending.GetActivityType().GetName() != protocol.SendLineActivity {
			continue
		}
		var progress protocol.LineProgress
		if details := pending.GetHeartbeatDetails(); details != nil {
			if err := s.executions.Decode(details, &progress); err != nil {
				return nil, fmt.Errorf("read how far %s is: %w", workflowID, err)
			}
		}
		n.addProgress(progress)
	}
	return n, nil
}

// addProgress adds what has happened since the line was woken.
func (n *line) addProgress(progress protocol.LineProgress) {
	maps.Copy(n.attempts, progress.Made)
	for _, place := range progress.Moved {
		n.left[place] = true
	}
	for _, place := range progress.Sending {
		n.sending[place] = true
	}
}

// addResult adds the entries that are done.
func (n *line) addResult(done protocol.LineResult) {
	maps.Copy(n.attempts, done.Delivered)
	maps.Copy(n.cancelled, done.Cancelled)
	maps.Copy(n.cancelledAt, done.CancelledAt)
}

// addCancelled adds the entries that the memo shows as cancelled: the history of a running
// line has no event for those that no Update cancelled.
func (n *line) addCancelled(group protocol.Group) {
	for _, event := range group.Events {
		place, ok := n.input.Place(postdate.DeliveryID(event.ID, n.input.Endpoint))
		if event.Cancelled == "" || !ok {
			continue
		}
		n.cancelled[place] = event.Cancelled
		if !event.CancelledAt.IsZero() {
			n.cancelledAt[place] = event.CancelledAt
		}
	}
}

// readLineHistory reads what became of the entries so far. The history is short: a line
// is woken a few times at most.
func (s *Store) readLineHistory(ctx context.Context, n *line) error {
	run := n.info.GetExecution()
	events := s.temporal.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(),
		false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	sending := make(map[int64]bool)      // the events by which SendLine was scheduled
	cancelling := make(map[int64]string) // the deliveries' ids, by the event that accepted the Update
	for events.HasNext() {
		event, err := events.Next()
		if err == nil {
			err = s.readLineEvent(event, n, sending, cancelling)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) readLineEvent(event *historypb.HistoryEvent, n *line, sending map[int64]bool, cancelling map[int64]string) error {
	switch {
	case event.GetActivityTaskScheduledEventAttributes() != nil:
		name := event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
		sending[event.GetEventId()] = name == protocol.SendLineActivity
	case event.GetActivityTaskCompletedEventAttributes() != nil:
		completed := event.GetActivityTaskCompletedEventAttributes()
		if !sending[completed.GetScheduledEventId()] || completed.GetResult() == nil {
			return nil
		}
		var progress protocol.LineProgress
		if err := s.executions.Decode(completed.GetResult(), &progress); err != nil {
			return err
		}
		n.addProgress(progress)
	case event.GetWorkflowExecutionUpdateAcceptedEventAttributes() != nil:
		request := event.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput()
		var id string
		if request.GetName() == protocol.UpdateCancelWaiter && s.executions.Decode(request.GetArgs(), &id) == nil {
			cancelling[event.GetEventId()] = id
		}
	case event.GetWorkflowExecutionUpdateCompletedEventAttributes() != nil:
		done := event.GetWorkflowExecutionUpdateCompletedEventAttributes()
		place, ok := n.input.Place(cancelling[done.GetAcceptedEventId()])
		if ok && done.GetOutcome().GetSuccess() != nil {
			n.cancelled[place], n.cancelledAt[place] = "", asTime(event.GetEventTime())
		}
	case event.GetWorkflowExecutionCompletedEventAttributes() != nil:
		result := event.GetWorkflowExecutionCompletedEventAttributes().GetResult()
		var ended protocol.LineResult
		if result == nil {
			return nil
		}
		if err := s.executions.Decode(result, &ended); err != nil {
			return err
		}
		n.addResult(ended)
	}
	return nil
}

// readQueued reads a delivery that a line carries. It reports whether the delivery is
// still there.
func (s *Store) readQueued(ctx context.Context, workflowID, id string) (read *record, there bool, err error) {
	n, err := s.readLine(ctx, workflowID, id)
	if err != nil {
		return nil, false, err
	}
	place, ok := n.input.Place(id)
	if !ok {
		return nil, false, executions.Unknown(id)
	}
	if _, in := n.state(place, s.now()); !in {
		return nil, false, nil
	}
	entry := n.input.Entries[place]
	read = &record{info: n.info, line: n, lineID: workflowID, place: place, failure: n.cancelled[place]}
	if attempt := n.attempts[place]; protocol.Attempted(attempt.Outcome) {
		read.attempts = postdate.Attempts{}.Append(attempt)
	}
	read.input.Shipment = protocol.DeliveryTask{
		DeliveryID: id, Message: *entry.Message, To: postdate.Destination{Endpoint: n.input.Endpoint}, DueAt: entry.At,
		Timeout: entry.OwnTimeout,
	}
	read.input.Terms = entry.Terms
	read.accepted = protocol.Accepted{To: read.input.Shipment.To, At: entry.At}
	return read, true, s.readTenant(ctx, read)
}

// groupRows are the deliveries that a group or a line carries, in the order of their
// ids: some may leave it between two pages of a list. A line that is sending is read
// itself, since the states in it change all the time.
func (s *Store) groupRows(ctx context.Context, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]row, error) {
	var group protocol.Group
	if err := s.executions.ReadMemo(info, protocol.MemoGroup, &group); err != nil {
		return nil, err
	}
	var sending *line
	if stateAttribute(info) == postdate.Sending {
		var err error
		workflowID := info.GetExecution().GetWorkflowId()
		if sending, err = s.readLine(ctx, workflowID, workflowID); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, event := range group.Events {
		for _, endpoint := range event.Endpoints {
			r := newRow(info, now)
			r.ID = postdate.DeliveryID(event.ID, endpoint)
			r.Entity, r.Type = event.Entity, event.Type
			r.To, r.CreatedAt = postdate.Destination{Endpoint: endpoint}, group.At
			if !event.At.IsZero() {
				r.CreatedAt = event.At
			}
			r.DueAt = r.CreatedAt
			if r.resolve(event, sending, now) {
				rows = append(rows, r)
			}
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.ID, b.ID) })
	return rows, nil
}

// resolve sets the state of a row, read from a line that is sending where that is not
// nil. It reports whether the delivery is still there.
func (r *row) resolve(event protocol.GroupedEvent, sending *line, now time.Time) (there bool) {
	if event.Cancelled != "" {
		r.State = postdate.Cancelled
		if !event.CancelledAt.IsZero() {
			r.EndedAt = event.CancelledAt
		}
		return true
	}
	if sending == nil {
		return true
	}
	place, ok := sending.input.Place(r.ID)
	if !ok {
		return false
	}
	r.State, there = sending.state(place, now)
	r.EndedAt = sending.endedAt(place)
	return there
}
