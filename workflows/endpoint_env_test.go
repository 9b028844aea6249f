package workflows_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

// endpointEnv runs an endpoint, and records which lines it wakes and what it announces.
// A test registers all that happens before it runs.
type endpointEnv struct {
	*testsuite.TestWorkflowEnvironment
	t  *testing.T
	in protocol.EndpointInput

	mu        sync.Mutex
	calls     []call
	gone      map[string]bool // lines whose executions are closed
	announced []protocol.Announcement
	settings  func() protocol.EndpointSettings
	reads     int
	logged    *warnings
}

// warnings records what is logged at that level.
type warnings struct {
	silent

	lines []string
}

func (w *warnings) Warn(text string, pairs ...any) {
	var line strings.Builder
	line.WriteString(text)
	for i := 0; i+1 < len(pairs); i += 2 {
		if name := fmt.Sprint(pairs[i]); strings.ToLower(name[:1]) == name[:1] { // those are the engine's own
			fmt.Fprintf(&line, " %s=%v", name, pairs[i+1])
		}
	}
	w.lines = append(w.lines, line.String())
}

// call is a wake signal of an endpoint.
type call struct {
	protocol.Wake

	line string
	at   time.Duration // since the start
}

// enabled returns the settings of an enabled endpoint with that pace.
func enabled(pace postdate.Pace) protocol.EndpointSettings {
	return protocol.EndpointSettings{Version: 1, State: postdate.Enabled, Pace: pace}
}

func newEndpointEnv(t *testing.T, pace postdate.Pace) *endpointEnv {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	e := &endpointEnv{t: t, gone: map[string]bool{}, logged: &warnings{}}
	suite.SetLogger(e.logged)
	e.TestWorkflowEnvironment = suite.NewTestWorkflowEnvironment()
	e.in = protocol.EndpointInput{Tenant: "acme", ID: "ep_1", Settings: enabled(pace)}
	e.settings = func() protocol.EndpointSettings { return e.in.Settings }
	e.SetStartTime(start)
	e.SetTestTimeout(time.Minute)
	// The race detector on a busy machine is slow, which is no deadlock.
	e.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	workflows.RegisterControl(e)
	e.RegisterActivityWithOptions(func(_ context.Context, news protocol.Announcement) error {
		e.announced = append(e.announced, news)
		return nil
	}, activity.RegisterOptions{Name: protocol.AnnounceActivity})
	e.RegisterActivityWithOptions(func(context.Context, protocol.EndpointRef) (protocol.EndpointSettings, error) {
		e.reads++
		return e.settings(), nil
	}, activity.RegisterOptions{Name: protocol.SettingsActivity})
	return e
}

// at runs do so long after the start.
func (e *endpointEnv) at(when time.Duration, do func()) { e.RegisterDelayedCallback(do, when) }

// lease requests a lease, and returns where it will be stored.
func (e *endpointEnv) lease(when time.Duration, ask protocol.LeaseRequest) *protocol.Lease {
	got := &protocol.Lease{}
	e.at(when, func() { e.ask(ask, func(l protocol.Lease) { *got = l }) })
	return got
}

// ask requests a lease now.
func (e *endpointEnv) ask(ask protocol.LeaseRequest, then func(protocol.Lease)) {
	e.UpdateWorkflow(protocol.UpdateLease, "", &answered{t: e.t, then: func(v any) { then(v.(protocol.Lease)) }}, ask)
}

func (e *endpointEnv) join(when time.Duration, line protocol.LineStatus) {
	e.at(when, func() { e.UpdateWorkflow(protocol.UpdateJoin, "", &answered{t: e.t}, line) })
}

func (e *endpointEnv) leave(when time.Duration, line protocol.LineStatus) {
	e.at(when, func() { e.UpdateWorkflow(protocol.UpdateLeave, "", &answered{t: e.t}, line) })
}

// health queries the health, and returns where it will be stored.
func (e *endpointEnv) health(when time.Duration) *postdate.Health {
	got := &postdate.Health{}
	e.at(when, func() {
		value, err := e.QueryWorkflow(protocol.QueryHealth)
		require.NoError(e.t, err)
		require.NoError(e.t, value.Get(got))
	})
	return got
}

// answered takes the result of an Update that must succeed.
type answered struct {
	t    *testing.T
	then func(any)
}

func (*answered) Accept()            {}
func (a *answered) Reject(err error) { require.NoError(a.t, err) }
func (a *answered) Complete(result any, err error) {
	require.NoError(a.t, err)
	if a.then != nil {
		a.then(result)
	}
}

// run runs the endpoint until it ends.
func (e *endpointEnv) run() {
	e.t.Helper()
	e.start()
	require.NoError(e.t, e.GetWorkflowError())
}

// runUntil runs the endpoint until then, and returns the input of its next run.
func (e *endpointEnv) runUntil(when time.Duration) (next protocol.EndpointInput) {
	e.t.Helper()
	e.at(when, func() {
		e.SetContinueAsNewSuggested(true)
		e.SignalWorkflow(protocol.SignalSettings, protocol.EndpointSettings{}) // wakes it
	})
	e.start()
	var continued *workflow.ContinueAsNewError
	require.ErrorAs(e.t, e.GetWorkflowError(), &continued)
	require.Equal(e.t, protocol.EndpointWorkflow, continued.WorkflowType.Name)
	require.NoError(e.t, dataConverter.FromPayloads(continued.Input, &next))
	return next
}

func (e *endpointEnv) start() {
	e.OnSignalExternalWorkflow(mock.Anything, mock.Anything, "", protocol.SignalCall, mock.Anything).Return(e.record).Maybe()
	e.ExecuteWorkflow(protocol.EndpointWorkflow, e.in)
	require.True(e.t, e.IsWorkflowCompleted())
}

// record records a wake signal. It runs on another goroutine than the execution.
func (e *endpointEnv) record(_, line, _, _ string, wake any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone[line] {
		return errors.New("no such line")
	}
	e.calls = append(e.calls, call{line: line, at: e.Now().Sub(start), Wake: wake.(protocol.Wake)})
	// The signals of one moment arrive in any order.
	slices.SortStableFunc(e.calls, func(a, b call) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.line, b.line)) })
	return nil
}

// called returns the lines woken so far, in order.
func (e *endpointEnv) called() (lines []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.calls {
		lines = append(lines, strings.TrimPrefix(c.line, "line/acme/ep_1/"))
	}
	return lines
}

// line is the status of a line that has waited since so long after the start.
func line(id string, waiting int, since time.Duration) protocol.LineStatus {
	return protocol.LineStatus{Tenant: "acme", Endpoint: "ep_1", ID: id, Waiting: waiting, Since: start.Add(since)}
}
