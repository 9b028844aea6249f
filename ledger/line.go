package ledger

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
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// line is what was seen of a Line.
type line struct {
	info  *workflowpb.WorkflowExecutionInfo
	input workflows.LineInput
	// By the place of their waiter: made are the attempts, cancelled says why it was,
	// cancelledAt when, left that it has an execution of its own, and sending that its
	// attempt is under way.
	made        map[int]postdate.Attempt
	cancelled   map[int]string
	cancelledAt map[int]time.Time
	left        map[int]bool
	sending     map[int]bool
}

func (n *line) running() bool {
	return n.info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// lineID is the workflow id of a line.
func lineID(tenant, endpoint, id string) string {
	prefix := workflows.LineID(tenant, endpoint, "")
	return prefix + strings.TrimPrefix(id, prefix)
}

// state is where the waiter at a place stands. There is none of one that has left
// n: whose first attempt failed does so at once, or when its line's call is over.
func (n *line) state(place int, now time.Time) (postdate.State, bool) {
	_, cancelled := n.cancelled[place]
	made := n.made[place]
	switch {
	case n.left[place]:
		return "", false
	case cancelled:
		return postdate.Cancelled, true
	case made.Outcome == postdate.Accepted:
		return postdate.Delivered, true
	case made.Outcome.Made():
		return postdate.Retrying, n.running()
	case n.running() && n.sending[place]:
		return postdate.Sending, true
	case n.running():
		return postdate.Waiting, true
	}
	state := stateOf(n.info, now)
	return state, state != postdate.Delivered
}

// endedAt is when the waiter at a place ended: zero where it has not.
func (n *line) endedAt(place int) time.Time {
	if at, cancelled := n.cancelledAt[place]; cancelled {
		return at
	}
	if made := n.made[place]; made.Outcome == postdate.Accepted {
		return made.At.Add(time.Duration(made.DurationMS) * time.Millisecond)
	}
	return asTime(n.info.GetCloseTime())
}

// before is how many wait in n before that place, and first is where the first does.
func (n *line) before(place int, now time.Time) (count, first int) {
	for earlier := place - 1; earlier >= 0; earlier-- {
		if state, in := n.state(earlier, now); in && state == postdate.Waiting {
			count, first = count+1, earlier
		}
	}
	return count, first
}

// readLine reads a Line. id is how its caller knows what is in it.
func (l *Ledger) readLine(ctx context.Context, workflowID, id string) (*line, error) {
	described, err := l.describe(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	n := &line{
		info: described.GetWorkflowExecutionInfo(), made: make(map[int]postdate.Attempt),
		cancelled: make(map[int]string), cancelledAt: make(map[int]time.Time), left: make(map[int]bool), sending: make(map[int]bool),
	}
	if err := l.readInput(ctx, n.info, &n.input); err != nil {
		return nil, err
	}
	n.noteDone(n.input.Done)
	n.note(activities.LineProgress{Told: n.input.Left})
	if err := l.readLineHistory(ctx, n); err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", workflowID, err)
	}
	var group workflows.Group
	if err := l.readMemo(n.info, workflows.MemoGroup, &group); err != nil {
		return nil, err
	}
	n.noteCancelled(group)
	if !n.running() {
		return n, nil
	}
	for _, pending := range described.GetPendingActivities() {
		if pending.GetActivityType().GetName() != activities.SendLineName {
			continue
		}
		var progress activities.LineProgress
		if details := pending.GetHeartbeatDetails(); details != nil {
			if err := l.DataConverter.FromPayloads(details, &progress); err != nil {
				return nil, fmt.Errorf("read how far %s is: %w", workflowID, err)
			}
		}
		n.note(progress)
	}
	return n, nil
}

// note adds what a call came to so far.
func (n *line) note(progress activities.LineProgress) {
	maps.Copy(n.made, progress.Made)
	for _, place := range progress.Told {
		n.left[place] = true
	}
	for _, place := range progress.Sending {
		n.sending[place] = true
	}
}

// noteDone adds who is over.
func (n *line) noteDone(done workflows.LineResult) {
	maps.Copy(n.made, done.Delivered)
	maps.Copy(n.cancelled, done.Cancelled)
	maps.Copy(n.cancelledAt, done.CancelledAt)
}

// noteCancelled adds whose memo says that they were cancelled: of whom nobody wished
// so no event of a running line does.
func (n *line) noteCancelled(group workflows.Group) {
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

// readLineHistory reads what became of the waiters so far: a Line is called a few
// times at most.
func (l *Ledger) readLineHistory(ctx context.Context, n *line) error {
	run := n.info.GetExecution()
	events := l.Temporal.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(),
		false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	sending := make(map[int64]bool)  // the events by which SendLine was scheduled
	wished := make(map[int64]string) // by whose cancellation was accepted, the deliveries' ids
	for events.HasNext() {
		event, err := events.Next()
		if err == nil {
			err = l.readLineEvent(event, n, sending, wished)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) readLineEvent(event *historypb.HistoryEvent, n *line, sending map[int64]bool, wished map[int64]string) error {
	switch {
	case event.GetActivityTaskScheduledEventAttributes() != nil:
		name := event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
		sending[event.GetEventId()] = name == activities.SendLineName
	case event.GetActivityTaskCompletedEventAttributes() != nil:
		completed := event.GetActivityTaskCompletedEventAttributes()
		if !sending[completed.GetScheduledEventId()] || completed.GetResult() == nil {
			return nil
		}
		var progress activities.LineProgress
		if err := l.DataConverter.FromPayloads(completed.GetResult(), &progress); err != nil {
			return err
		}
		n.note(progress)
	case event.GetWorkflowExecutionUpdateAcceptedEventAttributes() != nil:
		asked := event.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput()
		var id string
		if asked.GetName() == workflows.UpdateCancelWaiter && l.DataConverter.FromPayloads(asked.GetArgs(), &id) == nil {
			wished[event.GetEventId()] = id
		}
	case event.GetWorkflowExecutionUpdateCompletedEventAttributes() != nil:
		done := event.GetWorkflowExecutionUpdateCompletedEventAttributes()
		place, ok := n.input.Place(wished[done.GetAcceptedEventId()])
		if ok && done.GetOutcome().GetSuccess() != nil {
			n.cancelled[place], n.cancelledAt[place] = "", asTime(event.GetEventTime())
		}
	case event.GetWorkflowExecutionCompletedEventAttributes() != nil:
		result := event.GetWorkflowExecutionCompletedEventAttributes().GetResult()
		var ended workflows.LineResult
		if result == nil {
			return nil
		}
		if err := l.DataConverter.FromPayloads(result, &ended); err != nil {
			return err
		}
		n.noteDone(ended)
	}
	return nil
}

// lookInLine reads a delivery that travels in a line. It answers nothing of one
// that has left it.
func (l *Ledger) lookInLine(ctx context.Context, workflowID, id string) (*Sight, error) {
	n, err := l.readLine(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	place, ok := n.input.Place(id)
	if !ok {
		return nil, unknown(id)
	}
	if _, in := n.state(place, l.Now()); !in {
		return nil, nil //nolint:nilnil // it has left
	}
	waiter := n.input.Waiters[place]
	seen := &Sight{Info: n.info, line: n, lineID: workflowID, place: place, failure: n.cancelled[place]}
	if made := n.made[place]; made.Outcome.Made() {
		seen.Attempts = postdate.Attempts{}.With(made)
	}
	seen.Input.Shipment = activities.Shipment{
		DeliveryID: id, Message: *waiter.Message, To: postdate.Destination{Endpoint: n.input.Endpoint}, DueAt: waiter.At,
	}
	seen.Input.ExpiresAt = waiter.ExpiresAt
	seen.Accepted = workflows.Accepted{To: seen.Input.Shipment.To, At: waiter.At}
	if err := l.readRetry(ctx, &seen.Input); err != nil {
		return nil, err
	}
	return seen, l.readTimeout(ctx, seen)
}

// groupRows are the deliveries that travel in a group or a line, in the order of
// their ids: some may leave it between two pages of a list. Of a line that was
// called each is looked up, for what is in it changes by the moment.
func (l *Ledger) groupRows(ctx context.Context, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]Row, error) {
	var group workflows.Group
	if err := l.readMemo(info, workflows.MemoGroup, &group); err != nil {
		return nil, err
	}
	var called *line
	if marked(info) == postdate.Sending {
		var err error
		workflowID := info.GetExecution().GetWorkflowId()
		if called, err = l.readLine(ctx, workflowID, workflowID); err != nil {
			return nil, err
		}
	}
	var rows []Row
	for _, event := range group.Events {
		for _, endpoint := range event.Endpoints {
			row := newRow(info, now)
			row.ID = postdate.DeliveryID(event.ID, endpoint)
			row.Entity, row.Type = event.Entity, event.Type
			row.To, row.CreatedAt = postdate.Destination{Endpoint: endpoint}, group.At
			if !event.At.IsZero() {
				row.CreatedAt = event.At
			}
			if row.sort(event, called, now) {
				rows = append(rows, row)
			}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
	return rows, nil
}

// sort finds out where row stands, of a line that was called where called is not
// nil. It answers false where it is in the line no more.
func (row *Row) sort(event workflows.GroupedEvent, called *line, now time.Time) (in bool) {
	if event.Cancelled != "" {
		row.State = postdate.Cancelled
		if !event.CancelledAt.IsZero() {
			row.EndedAt = event.CancelledAt
		}
		return true
	}
	if called == nil {
		return true
	}
	place, ok := called.input.Place(row.ID)
	if !ok {
		return false
	}
	row.State, in = called.state(place, now)
	row.EndedAt = called.endedAt(place)
	return in
}
