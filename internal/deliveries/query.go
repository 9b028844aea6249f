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

// query asks the engine for executions that carry what f means, and maybe more:
// what they carry is held against f all the same. Whatever else it asks, it asks
// for the tenant's own only.
func query(f postdate.Filter, now time.Time) string {
	conditions := []string{executions.Equals(protocol.AttrTenant, f.Tenant)}
	if f.SchedulesOnly {
		conditions = append(conditions, "WorkflowType = "+executions.Quote(protocol.DeliverWorkflow),
			"WorkflowId STARTS_WITH "+executions.Quote(protocol.ScheduleID(f.Tenant, "")))
	} else {
		conditions = append(conditions, fmt.Sprintf("WorkflowType IN (%s, %s, %s)",
			executions.Quote(protocol.DeliverWorkflow), executions.Quote(protocol.DispatchWorkflow), executions.Quote(protocol.LineWorkflow)))
	}
	conditions = append(conditions, cmp.Or(conditionOf(f.State, now), "ExecutionStatus != 'ContinuedAsNew'"))
	for _, list := range []struct {
		key   executions.Attribute
		value string
	}{{protocol.AttrEntity, f.Entity}, {protocol.AttrMessageType, f.Type}, {protocol.AttrEndpoint, f.Endpoint}} {
		if executions.IsPlain(list.value) {
			conditions = append(conditions, executions.Equals(list.key, list.value))
		}
	}
	if !f.DueBefore.IsZero() {
		conditions = append(conditions, "ExecutionTime < "+executions.QuoteTime(f.DueBefore))
	}
	if !f.DueAfter.IsZero() {
		conditions = append(conditions, "ExecutionTime >= "+executions.QuoteTime(f.DueAfter))
	}
	return strings.Join(conditions, " AND ")
}

// conditionOf says of executions what [stateOf] says of one, or of what one
// carries: in a line that was called some are delivered before it ends, and one
// that ended may have ended with some cancelled. A comparison with an executions.Attribute
// that is not set is never true, so that is asked for by name.
func conditionOf(state postdate.State, now time.Time) string {
	mark := protocol.AttrState.GetName()
	switch state {
	case postdate.Scheduled:
		return fmt.Sprintf("ExecutionStatus = 'Running' AND %s IS NULL AND ExecutionTime > %s", mark, executions.QuoteTime(now))
	case postdate.Sending:
		return fmt.Sprintf("ExecutionStatus = 'Running' AND (%[1]s = %[2]s OR %[1]s IS NULL AND ExecutionTime <= %[3]s)",
			mark, executions.Quote(string(postdate.Sending)), executions.QuoteTime(now))
	case postdate.Waiting, postdate.Retrying: // of what was called, some may wait on, and some have failed
		return fmt.Sprintf("ExecutionStatus = 'Running' AND %s IN (%s, %s)", mark, executions.Quote(string(state)), executions.Quote(string(postdate.Sending)))
	case postdate.Parked:
		return "ExecutionStatus = 'Running' AND " + executions.Equals(protocol.AttrState, string(state))
	case postdate.Delivered:
		return fmt.Sprintf("(ExecutionStatus = 'Completed' OR ExecutionStatus = 'Running' AND %s)",
			executions.Equals(protocol.AttrState, string(postdate.Sending)))
	case postdate.Cancelled:
		return fmt.Sprintf("(ExecutionStatus IN ('Canceled', 'Terminated') OR ExecutionStatus = 'Completed' AND %s)",
			executions.Equals(protocol.AttrState, string(postdate.Cancelled)))
	case postdate.Expired:
		return "ExecutionStatus IN ('Failed', 'TimedOut') AND " + executions.Equals(protocol.AttrState, string(postdate.Expired))
	case postdate.Dead:
		return fmt.Sprintf("ExecutionStatus IN ('Failed', 'TimedOut') AND (%[1]s IS NULL OR %[1]s != %[2]s)",
			mark, executions.Quote(string(postdate.Expired)))
	default:
		return ""
	}
}
