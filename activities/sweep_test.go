package activities_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/protocol"
)

// sweepFake is an engine with many deliveries.
type sweepFake struct {
	activities.Deliveries
	states map[postdate.State][]string         // the ids that are found, by state
	shared map[postdate.State][]protocol.Found // what else is found
	do     func(ctx context.Context, id string) error
	broken postdate.State // nothing can be looked for in this state

	mu      sync.Mutex
	did     map[string][]string // ids, by what was done to them
	begun   []string
	now, at int // how many were under way at once: now, and at most
}

func (c *sweepFake) Find(_ context.Context, f postdate.Filter) ([]protocol.Found, error) {
	if f.Tenant != "acme" || f.Endpoint != "ep_1" {
		return nil, fmt.Errorf("not asked for: %+v", f)
	}
	if f.State == c.broken {
		return nil, errors.New("the engine is away")
	}
	found := slices.Clone(c.shared[f.State])
	for _, id := range c.states[f.State] {
		found = append(found, protocol.Found{ID: id})
	}
	return found, nil
}

func (c *sweepFake) RetryDelivery(ctx context.Context, _, id string) error {
	return c.sweep(ctx, "retry", id)
}

func (c *sweepFake) CancelDelivery(ctx context.Context, _, id string) error {
	return c.sweep(ctx, "cancel", id)
}

func (c *sweepFake) PostponeDelivery(ctx context.Context, _, id, _ string, _ time.Time, _ time.Duration) error {
	return c.sweep(ctx, "postpone", id)
}

func (c *sweepFake) ReleaseDelivery(ctx context.Context, _, id string) error {
	return c.sweep(ctx, "release", id)
}

func (c *sweepFake) sweep(ctx context.Context, action, id string) error {
	c.mu.Lock()
	c.begun = append(c.begun, id)
	c.now++
	c.at = max(c.at, c.now)
	c.mu.Unlock()
	var err error
	if c.do != nil {
		err = c.do(ctx, id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
	if err == nil {
		c.did[action] = append(c.did[action], id)
	}
	return err
}

func sweepEnv(t *testing.T, c *sweepFake) *testsuite.TestActivityEnvironment {
	t.Helper()
	c.did = make(map[string][]string)
	suite := testsuite.WorkflowTestSuite{}
	env := suite.NewTestActivityEnvironment()
	(&activities.Activities{Deliveries: c, Log: slog.New(slog.DiscardHandler)}).Register(env)
	return env
}

func sweepOf(action protocol.SweepAction) protocol.SweepInput {
	return protocol.SweepInput{Action: action, Filter: postdate.Filter{Tenant: "acme", Endpoint: "ep_1"}}
}

func swept(t *testing.T, env *testsuite.TestActivityEnvironment, in protocol.SweepInput) protocol.SweepProgress {
	t.Helper()
	value, err := env.ExecuteActivity(protocol.SweepActivity, in)
	require.NoError(t, err)
	var progress protocol.SweepProgress
	require.NoError(t, value.Get(&progress))
	return progress
}

func ids(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return all
}

func TestSweep_DoesEachThingToThoseItIsFor(t *testing.T) {
	t.Parallel()
	for action, states := range map[protocol.SweepAction][]postdate.State{
		protocol.SweepRetry:   {postdate.Dead},
		protocol.SweepRelease: {postdate.Parked},
		protocol.SweepCancel:  {postdate.Scheduled, postdate.Waiting, postdate.Sending, postdate.Retrying, postdate.Parked},
	} {
		t.Run(string(action), func(t *testing.T) {
			t.Parallel()
			c := &sweepFake{states: make(map[postdate.State][]string)}
			want := make([]string, 0, len(states))
			for _, state := range postdate.States {
				c.states[state] = []string{string(state)}
			}
			for _, state := range states {
				want = append(want, string(state))
			}
			progress := swept(t, sweepEnv(t, c), sweepOf(action))
			require.Equal(t, protocol.SweepProgress{Found: len(want), Done: len(want)}, progress)
			require.Equal(t, map[string][]string{string(action): want}, c.did)
		})
	}
}

func TestSweep_BeginsWithTheOldestSixteenSideBySide(t *testing.T) {
	t.Parallel()
	all := make(chan struct{})
	var once sync.Once
	c := &sweepFake{states: map[postdate.State][]string{postdate.Parked: ids(500)}}
	c.do = func(context.Context, string) error {
		c.mu.Lock()
		full := c.now == 16
		c.mu.Unlock()
		if full {
			once.Do(func() { close(all) })
		}
		<-all // until sixteen are under way
		return nil
	}
	progress := swept(t, sweepEnv(t, c), sweepOf(protocol.SweepRelease))
	require.Equal(t, protocol.SweepProgress{Found: 500, Done: 500}, progress)
	require.Equal(t, 16, c.at)
	for i, id := range c.begun {
		n, err := strconv.Atoi(id)
		require.NoError(t, err)
		require.Less(t, n-i, 16, "none is begun before all older ones but those under way")
	}
}

func TestSweep_CountsWhatCannotBeDone(t *testing.T) {
	t.Parallel()
	c := &sweepFake{states: map[postdate.State][]string{postdate.Dead: {"ended", "none", "hiccup", "broken", "fine"}}}
	tries := map[string]int{}
	c.do = func(_ context.Context, id string) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		tries[id]++
		switch {
		case id == "ended":
			return postdate.Errorf(postdate.Conflict, "", "already delivered")
		case id == "none":
			return postdate.Errorf(postdate.NotFound, "", "nothing of that id")
		case id == "broken", id == "hiccup" && tries[id] < 3:
			return errors.New("the engine is busy")
		}
		return nil
	}
	progress := swept(t, sweepEnv(t, c), sweepOf(protocol.SweepRetry))
	require.Equal(t, protocol.SweepProgress{Found: 5, Done: 2, Skipped: 2, Failed: 1}, progress)
	require.Equal(t, map[string]int{"ended": 1, "none": 1, "hiccup": 3, "broken": 4, "fine": 1}, tries)
}

func TestSweep_ResumesWithItsCounts(t *testing.T) {
	t.Parallel()
	c := &sweepFake{states: map[postdate.State][]string{postdate.Dead: {"7", "8"}}}
	env := sweepEnv(t, c)
	env.SetHeartbeatDetails(protocol.SweepProgress{Found: 10, Done: 6, Skipped: 1, Failed: 1})
	require.Equal(t, protocol.SweepProgress{Found: 9, Done: 8, Skipped: 1}, swept(t, env, sweepOf(protocol.SweepRetry)))
}

// resumedGroups has cancelled more than the worker said that died.
type resumedGroups struct{ activities.Groups }

func (resumedGroups) ResumeCancel(_ context.Context, f postdate.Filter, _ time.Time) (int, []string, error) {
	if f.Endpoint != "ep_1" {
		return 0, nil, errors.New("not asked for")
	}
	return 9, []string{"leaving"}, nil
}

// What was done after the last heartbeat of a worker that died is counted too, and nothing twice.
func TestSweep_ResumesWithWhatWasDoneAfterItsCounts(t *testing.T) {
	t.Parallel()
	for action, want := range map[protocol.SweepAction]protocol.SweepProgress{
		protocol.SweepCancel:   {Found: 13, Done: 12, Skipped: 1}, // nine, the two that are found, and the one that was leaving
		protocol.SweepPostpone: {Found: 2, Done: 2},               // those that are found were put off before
	} {
		t.Run(string(action), func(t *testing.T) {
			t.Parallel()
			c := &sweepFake{states: map[postdate.State][]string{postdate.Scheduled: {"7", "8"}}, did: make(map[string][]string)}
			suite := testsuite.WorkflowTestSuite{}
			env := suite.NewTestActivityEnvironment()
			(&activities.Activities{Deliveries: c, Postponer: c, Groups: resumedGroups{}, Log: slog.New(slog.DiscardHandler)}).Register(env)
			env.SetHeartbeatDetails(protocol.SweepProgress{Found: 10, Done: 6, Skipped: 1, Failed: 1})
			require.Equal(t, want, swept(t, env, sweepOf(action)))
		})
	}
}

// groupsFake cancels all schedules of groups but those that have moved.
type groupsFake struct {
	activities.Groups

	mu     sync.Mutex
	listed []protocol.Found // were asked for as they were found
	asked  []protocol.Found // were asked for by their places
	moved  []int
}

func (g *groupsFake) CancelListed(_ context.Context, _ string, found []protocol.Found, _ string) (rest []protocol.Found) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listed = append(g.listed, found...)
	return slices.DeleteFunc(slices.Clone(found), func(each protocol.Found) bool {
		return !slices.ContainsFunc(each.Places, func(place int) bool { return slices.Contains(g.moved, place) })
	})
}

func (g *groupsFake) CancelGrouped(_ context.Context, _, group string, places []int, _ string) (changed protocol.SchedulesChanged, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, protocol.Found{Group: group, Places: places})
	for _, place := range places {
		if slices.Contains(g.moved, place) {
			changed.Moved = append(changed.Moved, place)
		} else {
			changed.Done = append(changed.Done, place)
		}
	}
	return changed, nil
}

// A list that is behind shows two runs of a group, and schedules where they were.
func TestSweep_ChangesNothingTwiceThatIsFoundTwice(t *testing.T) {
	t.Parallel()
	const one, two = "0123456789abcdef0123456789abcde1", "0123456789abcdef0123456789abcde2"
	c := &sweepFake{
		states: map[postdate.State][]string{
			postdate.Scheduled: {"alone", "alone", postdate.GroupedScheduleID(two, 7)},
			postdate.Sending:   {"alone", postdate.GroupedScheduleID(one, 0), postdate.GroupedScheduleID(one, 2)},
		},
		shared: map[postdate.State][]protocol.Found{
			postdate.Scheduled: {
				{Group: one, Places: []int{0, 1, 2}, Run: "before", DueAt: now},
				{Group: one, Places: []int{1, 2, 3}, Run: "now", DueAt: now},
				{Group: two, Places: []int{5}, Run: "other", DueAt: now},
			},
			postdate.Waiting: {{Group: two, Places: []int{7, 5}, Run: "other", DueAt: now}},
		},
		did: make(map[string][]string),
	}
	groups := &groupsFake{moved: []int{2}}
	suite := testsuite.WorkflowTestSuite{}
	env := suite.NewTestActivityEnvironment()
	(&activities.Activities{Deliveries: c, Groups: groups, Log: slog.New(slog.DiscardHandler)}).Register(env)
	require.Equal(t, protocol.SweepProgress{Found: 7, Done: 7}, swept(t, env, sweepOf(protocol.SweepCancel)))
	require.Equal(t, []protocol.Found{
		{Group: one, Places: []int{0, 1, 2}, Run: "before", DueAt: now}, {Group: two, Places: []int{5}, Run: "other", DueAt: now},
	}, groups.listed)
	require.ElementsMatch(t, []protocol.Found{{Group: one, Places: []int{3}}, {Group: one, Places: []int{0, 1, 2}}}, groups.asked)
	require.ElementsMatch(t, []string{"alone", postdate.GroupedScheduleID(two, 7), postdate.GroupedScheduleID(one, 2)}, c.did["cancel"])
}

func TestSweep_TellsHowFarItCame(t *testing.T) {
	t.Parallel()
	c := &sweepFake{broken: postdate.Parked, states: map[postdate.State][]string{
		postdate.Scheduled: ids(20), postdate.Retrying: {"retrying"},
	}}
	env := sweepEnv(t, c)
	var last protocol.SweepProgress
	env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		require.NoError(t, details.Get(&last))
	})
	_, err := env.ExecuteActivity(protocol.SweepActivity, sweepOf(protocol.SweepCancel))
	require.ErrorContains(t, err, "find the deliveries to cancel: the engine is away")
	require.Equal(t, protocol.SweepProgress{Found: 21, Done: 21}, last)
}

func TestSweep_StopsWhenCancelled(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	c := &sweepFake{states: map[postdate.State][]string{postdate.Dead: ids(500)}}
	c.do = func(ctx context.Context, _ string) error {
		stop()
		<-ctx.Done()
		return ctx.Err()
	}
	env := sweepEnv(t, c)
	env.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
	_, err := env.ExecuteActivity(protocol.SweepActivity, sweepOf(protocol.SweepRetry))
	require.Error(t, err)
	require.LessOrEqual(t, len(c.begun), 17)
	require.Empty(t, c.did)
}

func TestSweep_KnowsWhatItDoes(t *testing.T) {
	t.Parallel()
	_, err := sweepEnv(t, &sweepFake{}).ExecuteActivity(protocol.SweepActivity, sweepOf("explode"))
	require.ErrorContains(t, err, `a sweep does not know the action "explode"`)
}
