// Package protocol_test holds what histories record to a golden file.
package protocol_test

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

var update = flag.Bool("update", false, "write the golden file of recorded words")

// TestRecordedWords holds every name, and every field of every value, that a history
// records. Executions that sleep for years were started with these words: a line of
// the golden file may be added; one that is changed or removed needs a way for the
// executions that know the old one.
func TestRecordedWords(t *testing.T) {
	t.Parallel()
	const golden = "testdata/recorded.golden"
	words := recorded()
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(words), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	was, is := strings.Split(string(want), "\n"), strings.Split(words, "\n")
	for n := range min(len(was), len(is)) {
		require.Equal(t, was[n], is[n], "line %d: what histories record has changed; if that is meant, run this test with -update", n+1)
	}
	require.Len(t, is, len(was))
}

func recorded() string {
	var out strings.Builder
	section := func(title string, lines []string) {
		fmt.Fprintf(&out, "== %s\n%s\n\n", title, strings.Join(lines, "\n"))
	}
	var flows, control, acts, controlActs registry
	workflows.Register(&flows)
	workflows.RegisterControl(&control)
	new(activities.Activities).Register(&acts)
	new(activities.Activities).RegisterControl(&controlActs)
	section("task queues", []string{protocol.TaskQueue, protocol.ControlQueue, protocol.OperationQueue})
	section("workflows on "+protocol.TaskQueue, flows)
	section("workflows on "+protocol.ControlQueue, control)
	section("activities on "+protocol.TaskQueue, acts)
	section("activities on "+protocol.ControlQueue, controlActs)
	section("updates, signals and queries", messages())
	section("memo", []string{
		protocol.MemoAccepted + tree(reflect.TypeFor[protocol.Accepted]()),
		protocol.MemoGroup + tree(reflect.TypeFor[protocol.Group]()),
		protocol.MemoLine + tree(reflect.TypeFor[string]()),
		protocol.MemoSchedules + tree(reflect.TypeFor[protocol.GroupedSchedules]()),
		protocol.MemoTally + tree(reflect.TypeFor[protocol.ScheduleTally]()),
		protocol.MemoIntake + tree(reflect.TypeFor[protocol.IntakeRecords]()),
	})
	section("search attributes", attributes())
	section("ids", ids())
	section("failure types", []string{
		protocol.FailureDead, protocol.FailureExpired, protocol.FailureParked, protocol.FailureCancelled, protocol.FailureWaiting, "Retrying", protocol.FailureInternal,
		string(postdate.Invalid), string(postdate.NotFound), string(postdate.Conflict), string(postdate.Unavailable),
	})
	return out.String()
}

// messages are those that the handlers of each workflow take.
func messages() []string {
	message := func(to, name string, types ...reflect.Type) string {
		line := to + " " + name
		for _, typ := range types {
			line += tree(typ)
		}
		return line
	}
	text, result, changed := reflect.TypeFor[string](), reflect.TypeFor[protocol.UpdateResult](), reflect.TypeFor[protocol.TenantChanged]()
	line, request := reflect.TypeFor[protocol.LineStatus](), reflect.TypeFor[protocol.ScheduleRequest]()
	many := reflect.TypeFor[protocol.SchedulesRequest]()
	return []string{
		message("Deliver update", protocol.UpdateCancel, result),
		message("Deliver update", protocol.UpdateReschedule, reflect.TypeFor[postdate.Change](), result),
		message("Deliver update", protocol.UpdateFire, result),
		message("Deliver signal", protocol.SignalRelease),
		message("Deliver signal", protocol.SignalSuperseded),
		message("Tenant update", protocol.UpdateCreateEndpoint, reflect.TypeFor[postdate.Endpoint](), changed),
		message("Tenant update", protocol.UpdatePatchEndpoint, reflect.TypeFor[protocol.PatchEndpoint](), changed),
		message("Tenant update", protocol.UpdateDeleteEndpoint, text, changed),
		message("Tenant update", protocol.UpdateSetEndpointState, reflect.TypeFor[protocol.SetEndpointState](), changed),
		message("Tenant update", protocol.UpdateReportEndpoint, reflect.TypeFor[protocol.ReportEndpoint](), changed),
		message("Tenant update", protocol.UpdateRotateSecret, reflect.TypeFor[protocol.RotateSecret](), changed),
		message("Tenant update", protocol.UpdateCreateKey, reflect.TypeFor[postdate.Key](), changed),
		message("Tenant update", protocol.UpdateRevokeKey, text, changed),
		message("Tenant update", protocol.UpdatePutCalendar, reflect.TypeFor[protocol.PutCalendar](), changed),
		message("Tenant update", protocol.UpdateDeleteCalendar, text, changed),
		message("Tenant update", protocol.UpdateChangeCanary, reflect.TypeFor[protocol.ChangeCanary](), changed),
		message("Tenant update", protocol.UpdateCreateSource, reflect.TypeFor[postdate.Source](), changed),
		message("Tenant update", protocol.UpdatePatchSource, reflect.TypeFor[protocol.PatchSource](), changed),
		message("Tenant update", protocol.UpdateDeleteSource, text, changed),
		message("Tenant update", protocol.UpdateRotateSourceToken, reflect.TypeFor[protocol.RotateSourceToken](), changed),
		message("Tenant update", protocol.UpdateLearnSourceSecret, reflect.TypeFor[protocol.LearnSourceSecret](), changed),
		message("Tenant query", protocol.QueryTenant, reflect.TypeFor[int64](), reflect.TypeFor[protocol.TenantRead]()),
		message("Endpoint update", protocol.UpdateLease, reflect.TypeFor[protocol.LeaseRequest](), reflect.TypeFor[protocol.Lease]()),
		message("Endpoint update", protocol.UpdateJoin, line),
		message("Endpoint update", protocol.UpdateLeave, line),
		message("Endpoint update", protocol.UpdatePull, reflect.TypeFor[protocol.PullRequest](), reflect.TypeFor[protocol.PullGrant]()),
		message("Endpoint query", protocol.QueryPullable, reflect.TypeFor[protocol.Pullable]()),
		message("Line update", protocol.UpdateTake, reflect.TypeFor[protocol.TakeRequest](), reflect.TypeFor[protocol.TakeResult]()),
		message("Line update", protocol.UpdateSettle, reflect.TypeFor[protocol.SettleRequest](), reflect.TypeFor[protocol.SettleResponse]()),
		message("Line query", protocol.QueryLine, reflect.TypeFor[protocol.LineRead]()),
		message("Deliver update", protocol.UpdateLend, reflect.TypeFor[protocol.LendRequest](), reflect.TypeFor[protocol.Lent]()),
		message("Deliver update", protocol.UpdateSettle, reflect.TypeFor[protocol.SettleRequest](), reflect.TypeFor[protocol.SettleResponse]()),
		message("Deliver signal", protocol.SignalReturned, reflect.TypeFor[protocol.Returned]()),
		message("Endpoint signal", protocol.SignalSettings, reflect.TypeFor[protocol.EndpointSettings]()),
		message("Endpoint signal", protocol.SignalCanary, reflect.TypeFor[protocol.CanaryReport]()),
		message("Endpoint query", protocol.QueryHealth, reflect.TypeFor[protocol.EndpointHealth]()),
		message("Endpoint query", protocol.QueryTurn, text, reflect.TypeFor[postdate.QueuePosition]()),
		message("Line signal", protocol.SignalCall, reflect.TypeFor[protocol.Wake]()),
		message("Line signal", protocol.SignalStopped, reflect.TypeFor[protocol.LineStopped]()),
		message("Line update", protocol.UpdateCancelWaiter, text, result),
		message("ScheduleGroup update", protocol.UpdateCancel, request, result),
		message("ScheduleGroup update", protocol.UpdateReschedule, request, result),
		message("ScheduleGroup update", protocol.UpdateFire, request, result),
		message("ScheduleGroup update", protocol.UpdateCancelMany, many, reflect.TypeFor[protocol.SchedulesChanged]()),
		message("ScheduleGroup update", protocol.UpdatePostponeMany, many, reflect.TypeFor[protocol.SchedulesChanged]()),
		message("Recurrence update", protocol.UpdatePause, reflect.TypeFor[postdate.Pause]()),
		message("Recurrence update", protocol.UpdateResume),
		message("Recurrence update", protocol.UpdateSkip),
		message("Recurrence update", protocol.UpdateFire, reflect.TypeFor[postdate.TickRecord]()),
		message("Recurrence update", protocol.UpdateBackfill, reflect.TypeFor[protocol.Backfill](), reflect.TypeFor[protocol.Backfilled]()),
		message("Recurrence update", protocol.UpdatePatch, reflect.TypeFor[protocol.PatchRecurrence]()),
		message("Recurrence update", protocol.UpdateTickEnded, reflect.TypeFor[protocol.TickEnded]()),
		message("Recurrence update", protocol.UpdateCancel, result),
		message("heartbeat of "+protocol.RetryActivity, "details", reflect.TypeFor[postdate.Attempts]()),
		message("heartbeat of "+protocol.SendLineActivity, "details", reflect.TypeFor[protocol.LineProgress]()),
		message("heartbeat of "+protocol.SweepActivity, "details", reflect.TypeFor[protocol.SweepProgress]()),
	}
}

func attributes() (lines []string) {
	for _, attribute := range protocol.SearchAttributes {
		lines = append(lines, attribute.GetName()+" "+attribute.GetValueType().String())
	}
	return lines
}

// ids are what workflows, and what they start, are called.
func ids() []string {
	due := time.Date(2027, 1, 1, 9, 0, 0, 5, time.UTC)
	return []string{
		protocol.ScheduleID("t", "id"), protocol.EventID("t", "id"), protocol.GroupID("t", "id"),
		protocol.PartID(protocol.EventID("t", "id"), 3), protocol.TenantID("t"), protocol.EndpointID("t", "ep_1"),
		protocol.EndpointID("t", postdate.CanaryKey("ep_1", "cn_1")),
		protocol.LineID("t", "ep_1", "id"), protocol.SweepID("t", "id"),
		protocol.DeliveryID("t", "id"), protocol.DeliveryID("t", postdate.DeliveryID("evt", "ep_1")),
		postdate.DeliveryID("evt", "ep_1"), postdate.GroupedID("0123456789abcdef", 7),
		protocol.RecurrenceID("t", "id"), postdate.TickID("id", due), postdate.FiredID("id", 3),
		protocol.ScheduleGroupID("t", "id"), postdate.GroupedScheduleID("0123456789abcdef", 7),
		protocol.IntakeID("orders", "topic/3/17", 2),
		protocol.AnnouncementID("type", "t", "a", "b"), protocol.BurstOf("t", due),
	}
}

// registry lists what is registered: its name, what it takes and what it returns.
type registry []string

func (r *registry) RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions) {
	r.add(options.Name, w)
}

func (r *registry) RegisterActivityWithOptions(a any, options activity.RegisterOptions) {
	r.add(options.Name, a)
}

func (r *registry) add(name string, f any) {
	line, typ := name, reflect.TypeOf(f)
	for i := 1; i < typ.NumIn(); i++ { // after the context
		line += tree(typ.In(i))
	}
	for i := range typ.NumOut() - 1 { // before the error
		line += tree(typ.Out(i))
	}
	*r = append(*r, line)
	slices.Sort(*r)
}

// tree is a value's JSON, one field a line. Of Go's names none is in it: they can
// be changed.
func tree(typ reflect.Type) string {
	return "\n" + describe(typ, "    ", nil)
}

func describe(typ reflect.Type, indent string, within []reflect.Type) string {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return indent + "time"
	case typ == reflect.TypeFor[json.RawMessage]():
		return indent + "json"
	case implements[json.Marshaler](typ):
		return indent + "as it marshals itself"
	case implements[encoding.TextMarshaler](typ):
		return indent + "text"
	case slices.Contains(within, typ):
		return indent + "as above"
	}
	within = append(slices.Clone(within), typ)
	switch typ.Kind() {
	case reflect.Struct:
		return strings.Join(fields(typ, indent, within), "\n")
	case reflect.Slice, reflect.Array:
		return indent + "list\n" + describe(typ.Elem(), indent+"  ", within)
	case reflect.Map:
		return indent + "map by " + typ.Key().Kind().String() + "\n" + describe(typ.Elem(), indent+"  ", within)
	default:
		return indent + typ.Kind().String()
	}
}

func fields(typ reflect.Type, indent string, within []reflect.Type) (lines []string) {
	for field := range typ.Fields() {
		tag, tagged := field.Tag.Lookup("json")
		switch {
		case field.Anonymous && !tagged:
			lines = append(lines, describe(field.Type, indent, within))
		case field.IsExported() && tag != "-":
			name, options, _ := strings.Cut(tag, ",")
			if name == "" {
				name = field.Name
			}
			line := indent + name
			if options != "" {
				line += " (" + options + ")"
			}
			value := describe(field.Type, indent+"  ", within)
			if scalar := strings.TrimSpace(value); !strings.Contains(scalar, "\n") {
				lines = append(lines, line+": "+scalar)
				continue
			}
			lines = append(lines, line, value)
		}
	}
	return lines
}

func implements[I any](typ reflect.Type) bool {
	return typ.Implements(reflect.TypeFor[I]()) || reflect.PointerTo(typ).Implements(reflect.TypeFor[I]())
}
