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
	// made are the attempts, and cancelled says why it was, by the place of their waiter.
	made      map[int]postdate.Attempt
	cancelled map[int]string
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
// n: whose first attempt failed does so once its line's call is over.
func (n *line) state(place int, now time.Time) (postdate.State, bool) {
	_, cancelled := n.cancelled[place]
	made := n.made[place]
	switch {
	case cancelled:
		return postdate.Cancelled, true
	case made.Outcome == postdate.Accepted:
		return postdate.Delivered, true
	case made.Outcome.Made():
		return postdate.Retrying, n.running()
	case n.running():
		return postdate.Waiting, true
	}
	state := stateOf(n.info, now)
	return state, state != postdate.Delivered
}

// before is how many wait in n before the one at that place.
func (n *line) before(place int, now time.Time) int {
	count := 0
	for earlier := range place {
		if state, in := n.state(earlier, now); in && state == postdate.Waiting {
			count++
		}
	}
	return count
}

// readLine reads a Line. id is how its caller knows what is in it.
func (l *Ledger) readLine(ctx context.Context, workflowID, id string) (*line, error) {
	described, err := l.describe(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	n := &line{
		info: described.GetWorkflowExecutionInfo(),
		made: make(map[int]postdate.Attempt), cancelled: make(map[int]string),
	}
	if err := l.readInput(ctx, n.info, &n.input); err != nil {
		return nil, err
	}
	n.note(n.input.Done.Delivered)
	maps.Copy(n.cancelled, n.input.Done.Cancelled)
	if err := l.readLineHistory(ctx, n); err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", workflowID, err)
	}
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
		n.note(progress.Made)
	}
	return n, nil
}

// note adds attempts.
func (n *line) note(made map[int]postdate.Attempt) {
	maps.Copy(n.made, made)
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
		n.note(progress.Made)
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
			n.cancelled[place] = ""
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
		n.note(ended.Delivered)
		maps.Copy(n.cancelled, ended.Cancelled)
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
		return true
	}
	if called == nil {
		return true
	}
	place, ok := called.input.Place(row.ID)
	if !ok {
		return false
	}
	if row.State, in = called.state(place, now); row.State == postdate.Delivered {
		made := called.made[place]
		row.EndedAt = made.At.Add(time.Duration(made.DurationMS) * time.Millisecond)
	}
	return in
}
