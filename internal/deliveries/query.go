package deliveries

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// query is the query for executions that carry deliveries which f matches. It may match
// more executions: the deliveries are compared with f afterwards. It always names the
// tenant.
func query(f postdate.Filter, now time.Time) string {
	conditions := []string{executions.Equals(protocol.AttrTenant, f.Tenant)}
	if f.SchedulesOnly {
		conditions = append(conditions, fmt.Sprintf("(WorkflowType IN (%s, %s) OR WorkflowType = %s AND WorkflowId STARTS_WITH %s)",
			executions.Quote(protocol.RecurrenceWorkflow), executions.Quote(protocol.ScheduleGroupWorkflow), executions.Quote(protocol.DeliverWorkflow), executions.Quote(protocol.ScheduleID(f.Tenant, ""))))
	} else {
		conditions = append(conditions, fmt.Sprintf("WorkflowType IN (%s, %s, %s, %s)",
			executions.Quote(protocol.DeliverWorkflow), executions.Quote(protocol.DispatchWorkflow), executions.Quote(protocol.LineWorkflow),
			executions.Quote(protocol.ScheduleGroupWorkflow)))
	}
	conditions = append(conditions, cmp.Or(conditionOf(f.State, now), "ExecutionStatus != 'ContinuedAsNew'"))
	for _, list := range []struct {
		key   executions.Attribute
		value string
	}{{protocol.AttrMessageType, f.Type}, {protocol.AttrEndpoint, f.Endpoint}} {
		if list.value != "" {
			conditions = append(conditions, executions.Equals(list.key, list.value))
		}
	}
	if f.Entity != "" {
		conditions = append(conditions, fmt.Sprintf("%s IN (%s, %s)", protocol.AttrEntity.GetName(),
			executions.Quote(protocol.Searchable(f.Entity)), executions.Quote(protocol.SearchableHash(f.Entity))))
	}
	if f.Import != "" {
		conditions = append(conditions, executions.Equals(protocol.AttrImport, f.Import))
	}
	return strings.Join(append(conditions, dueConditions(f, now)...), " AND ")
}

// conditionOf is the condition for executions that carry deliveries in a state: those of
// which [stateOf] says so, and lines that were woken (some in them are delivered before
// the line ends) or that ended with some cancelled. Groups of schedules are among those
// that match, whatever was cancelled in them: see [scheduleGroupCondition]. A comparison with an
// attribute that is not set is never true, hence IS NULL.
func conditionOf(state postdate.State, now time.Time) string {
	attribute := protocol.AttrState.GetName()
	switch state {
	case postdate.Scheduled:
		return fmt.Sprintf("ExecutionStatus = 'Running' AND (%s IS NULL AND ExecutionTime > %s OR %s)",
			attribute, executions.QuoteTime(now), scheduleGroupCondition("ExecutionTime > "+executions.QuoteTime(now.Add(-scheduleGroupSpan))))
	case postdate.Sending:
		return fmt.Sprintf("ExecutionStatus = 'Running' AND (%[1]s = %[2]s OR %[1]s IS NULL AND ExecutionTime <= %[3]s OR %[4]s)",
			attribute, executions.Quote(string(postdate.Sending)), executions.QuoteTime(now), scheduleGroupCondition("ExecutionTime <= "+executions.QuoteTime(now)))
	case postdate.Waiting, postdate.Retrying: // in a line that was woken some still wait, and some have failed
		return fmt.Sprintf("ExecutionStatus = 'Running' AND %s IN (%s, %s)", attribute, executions.Quote(string(state)), executions.Quote(string(postdate.Sending)))
	case postdate.Parked, postdate.RecurrencePaused:
		return "ExecutionStatus = 'Running' AND " + executions.Equals(protocol.AttrState, string(state))
	case postdate.RecurrenceEnded:
		return "ExecutionStatus = 'Completed' AND WorkflowType = " + executions.Quote(protocol.RecurrenceWorkflow)
	case postdate.Delivered:
		return fmt.Sprintf("(ExecutionStatus = 'Completed' OR ExecutionStatus = 'Running' AND %s)",
			executions.Equals(protocol.AttrState, string(postdate.Sending)))
	case postdate.Cancelled:
		cancelled := executions.Equals(protocol.AttrState, string(postdate.Cancelled))
		return fmt.Sprintf("(ExecutionStatus IN ('Canceled', 'Terminated') OR ExecutionStatus = 'Completed' AND %s OR ExecutionStatus = 'Running' AND %s)",
			cancelled, scheduleGroupCondition(cancelled))
	case postdate.Expired:
		return "ExecutionStatus IN ('Failed', 'TimedOut') AND " + executions.Equals(protocol.AttrState, string(postdate.Expired))
	case postdate.Dead:
		return fmt.Sprintf("ExecutionStatus IN ('Failed', 'TimedOut') AND (%[1]s IS NULL OR %[1]s != %[2]s)",
			attribute, executions.Quote(string(postdate.Expired)))
	default:
		return ""
	}
}
