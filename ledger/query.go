package ledger

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// query asks the engine for executions that carry what f means, and maybe more:
// what they carry is held against f all the same. Whatever else it asks, it asks
// for the tenant's own only.
func query(f postdate.Filter, now time.Time) string {
	conditions := []string{equals(workflows.Tenant, f.Tenant)}
	if f.SchedulesOnly {
		conditions = append(conditions, "WorkflowType = "+quote(workflows.DeliverName),
			"WorkflowId STARTS_WITH "+quote(workflows.ScheduleID(f.Tenant, "")))
	} else {
		conditions = append(conditions, fmt.Sprintf("WorkflowType IN (%s, %s, %s)",
			quote(workflows.DeliverName), quote(workflows.DispatchName), quote(workflows.LineName)))
	}
	conditions = append(conditions, cmp.Or(conditionOf(f.State, now), "ExecutionStatus != 'ContinuedAsNew'"))
	for _, list := range []struct {
		key   attribute
		value string
	}{{workflows.Entity, f.Entity}, {workflows.MessageType, f.Type}, {workflows.Endpoint, f.Endpoint}} {
		if isPlain(list.value) {
			conditions = append(conditions, equals(list.key, list.value))
		}
	}
	if f.DueBefore != nil {
		conditions = append(conditions, "ExecutionTime < "+quoteTime(*f.DueBefore))
	}
	if f.DueAfter != nil {
		conditions = append(conditions, "ExecutionTime >= "+quoteTime(*f.DueAfter))
	}
	return strings.Join(conditions, " AND ")
}

// conditionOf says of executions what [stateOf] says of one, or of what one
// carries: in a line that was called some are delivered before it ends, and one
// that ended may have ended with some cancelled. A comparison with an attribute
// that is not set is never true, so that is asked for by name.
func conditionOf(state postdate.State, now time.Time) string {
	mark := workflows.State.GetName()
	switch state {
	case postdate.Scheduled:
		return fmt.Sprintf("ExecutionStatus = 'Running' AND %s IS NULL AND ExecutionTime > %s", mark, quoteTime(now))
	case postdate.Sending:
		return fmt.Sprintf("ExecutionStatus = 'Running' AND (%[1]s IS NULL OR %[1]s = %[2]s) AND ExecutionTime <= %[3]s",
			mark, quote(string(postdate.Sending)), quoteTime(now))
	case postdate.Waiting, postdate.Retrying: // of what was called, some may wait on, and some have failed
		return fmt.Sprintf("ExecutionStatus = 'Running' AND %s IN (%s, %s)", mark, quote(string(state)), quote(string(postdate.Sending)))
	case postdate.Parked:
		return "ExecutionStatus = 'Running' AND " + equals(workflows.State, string(state))
	case postdate.Delivered:
		return fmt.Sprintf("(ExecutionStatus = 'Completed' OR ExecutionStatus = 'Running' AND %s)",
			equals(workflows.State, string(postdate.Sending)))
	case postdate.Cancelled:
		return fmt.Sprintf("(ExecutionStatus IN ('Canceled', 'Terminated') OR ExecutionStatus = 'Completed' AND %s)",
			equals(workflows.State, string(postdate.Cancelled)))
	case postdate.Expired:
		return "ExecutionStatus IN ('Failed', 'TimedOut') AND " + equals(workflows.State, string(postdate.Expired))
	case postdate.Dead:
		return fmt.Sprintf("ExecutionStatus IN ('Failed', 'TimedOut') AND (%[1]s IS NULL OR %[1]s != %[2]s)",
			mark, quote(string(postdate.Expired)))
	default:
		return ""
	}
}

// attribute is a search attribute of whichever type.
type attribute interface{ GetName() string }

func equals(key attribute, value string) string { return key.GetName() + " = " + quote(value) }

// isPlain tells whether value can stand in a query. One with a quote or a
// backslash cannot: SQL visibility finds no such value, and SQLite's answers an
// error; nor one with a heart, by which SQLite's separates values. Without the
// condition all rows are read, and held against the filters as they always are.
func isPlain(value string) bool { return value != "" && !strings.ContainsAny(value, `'"\♡`) }

// quote makes plain text a string of the engine's query language.
func quote(text string) string { return "'" + text + "'" }

func quoteTime(t time.Time) string { return quote(t.UTC().Format(time.RFC3339Nano)) }
