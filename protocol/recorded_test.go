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
	require.Equal(t, string(want), words, "what histories record has changed: if that is meant, run this test with -update")
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
	section("task queues", []string{workflows.TaskQueue, workflows.ControlQueue})
	section("workflows on "+workflows.TaskQueue, flows)
	section("workflows on "+workflows.ControlQueue, control)
	section("activities on "+workflows.TaskQueue, acts)
	section("activities on "+workflows.ControlQueue, controlActs)
	section("updates, signals and queries", messages())
	section("memo", []string{
		workflows.MemoAccepted + tree(reflect.TypeFor[workflows.Accepted]()),
		workflows.MemoGroup + tree(reflect.TypeFor[workflows.Group]()),
		workflows.MemoLine + tree(reflect.TypeFor[string]()),
	})
	section("search attributes", attributes())
	section("ids", ids())
	section("failure types", []string{
		activities.Dead, activities.Expired, activities.Parked, activities.Cancelled, activities.Waiting, "Retrying",
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
	text, standing, changed := reflect.TypeFor[string](), reflect.TypeFor[workflows.Standing](), reflect.TypeFor[workflows.TenantChanged]()
	line := reflect.TypeFor[activities.LineUp]()
	return []string{
		message("Deliver update", workflows.UpdateCancel, standing),
		message("Deliver update", workflows.UpdateReschedule, reflect.TypeFor[postdate.Change](), standing),
		message("Deliver update", workflows.UpdateFire, standing),
		message("Deliver signal", workflows.SignalRelease),
		message("Deliver signal", workflows.SignalSuperseded),
		message("Tenant update", workflows.UpdateCreateEndpoint, reflect.TypeFor[postdate.Endpoint](), changed),
		message("Tenant update", workflows.UpdatePatchEndpoint, reflect.TypeFor[workflows.PatchEndpoint](), changed),
		message("Tenant update", workflows.UpdateDeleteEndpoint, text, changed),
		message("Tenant update", workflows.UpdateSetEndpointState, reflect.TypeFor[workflows.SetEndpointState](), changed),
		message("Tenant update", workflows.UpdateReportEndpoint, reflect.TypeFor[workflows.ReportEndpoint](), changed),
		message("Tenant update", workflows.UpdateRotateSecret, reflect.TypeFor[workflows.RotateSecret](), changed),
		message("Tenant update", workflows.UpdateCreateKey, reflect.TypeFor[postdate.Key](), changed),
		message("Tenant update", workflows.UpdateRevokeKey, text, changed),
		message("Tenant query", workflows.QueryTenant, reflect.TypeFor[int64](), reflect.TypeFor[workflows.TenantRead]()),
		message("Endpoint update", workflows.UpdateLease, reflect.TypeFor[workflows.AskLease](), reflect.TypeFor[workflows.Lease]()),
		message("Endpoint update", workflows.UpdateJoin, line),
		message("Endpoint update", workflows.UpdateLeave, line),
		message("Endpoint signal", workflows.SignalSettings, reflect.TypeFor[workflows.EndpointSettings]()),
		message("Endpoint query", workflows.QueryHealth, reflect.TypeFor[workflows.EndpointHealth]()),
		message("Endpoint query", workflows.QueryTurn, text, reflect.TypeFor[postdate.Turn]()),
		message("Line signal", workflows.SignalCall, reflect.TypeFor[workflows.Call]()),
		message("Line update", workflows.UpdateCancelWaiter, text, standing),
		message("heartbeat of "+activities.RetryName, "details", reflect.TypeFor[postdate.Attempts]()),
		message("heartbeat of "+activities.SendLineName, "details", reflect.TypeFor[activities.LineProgress]()),
		message("heartbeat of "+activities.SweepName, "details", reflect.TypeFor[activities.SweepProgress]()),
	}
}

func attributes() (lines []string) {
	for _, attribute := range workflows.SearchAttributes {
		lines = append(lines, attribute.GetName()+" "+attribute.GetValueType().String())
	}
	return lines
}

// ids are what workflows, and what they start, are called.
func ids() []string {
	due := time.Date(2027, 1, 1, 9, 0, 0, 5, time.UTC)
	return []string{
		workflows.ScheduleID("t", "id"), workflows.EventID("t", "id"), workflows.GroupID("t", "id"),
		workflows.PartID(workflows.EventID("t", "id"), 3), workflows.TenantID("t"), workflows.EndpointID("t", "ep_1"),
		workflows.LineID("t", "ep_1", "id"), workflows.SweepID("t", "id"),
		workflows.DeliveryID("t", "id"), workflows.DeliveryID("t", postdate.DeliveryID("evt", "ep_1")),
		postdate.DeliveryID("evt", "ep_1"), postdate.GroupedID("0123456789abcdef", 7),
		activities.AnnouncementID("type", "t", "a", "b"), workflows.CrowdOf("t", due),
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
	for i := range typ.NumField() {
		field := typ.Field(i)
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
