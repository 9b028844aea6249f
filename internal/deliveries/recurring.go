package deliveries

import (
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// recurringRow is a recurring schedule, among other schedules.
func (s *Store) recurringRow(tenant string, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]row, error) {
	id, ok := strings.CutPrefix(info.GetExecution().GetWorkflowId(), protocol.RecurrenceID(tenant, ""))
	if !ok {
		return nil, nil
	}
	r, err := s.describedRow(info, now)
	if err != nil {
		return nil, err
	}
	r.ID, r.State = id, stateOfRecurring(info)
	r.DueAt, r.restarted = asTime(info.GetExecutionTime()), false
	return []row{r}, nil
}

// stateOfRecurring is where a recurring schedule stands.
func stateOfRecurring(info *workflowpb.WorkflowExecutionInfo) postdate.State {
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		if stateAttribute(info) == postdate.RecurrencePaused {
			return postdate.RecurrencePaused
		}
		return postdate.Scheduled
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return postdate.RecurrenceEnded
	default:
		return postdate.Cancelled
	}
}

// carriesMany reports whether an execution is a group or a line.
func carriesMany(info *workflowpb.WorkflowExecutionInfo) bool {
	name := info.GetType().GetName()
	return name != protocol.DeliverWorkflow && name != protocol.RecurrenceWorkflow
}
