package activities_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// withCanary is an enabled endpoint whose canary takes customer_42.
func withCanary(change ...func(*postdate.Canary)) postdate.Endpoint {
	e := endpoint("ep_1", postdate.Enabled)
	e.Canary = &postdate.Canary{ID: "cn_1", URL: "https://next.example/secret-path", Entities: []string{"customer_42"}, State: postdate.CanaryRunning}
	for _, each := range change {
		each(e.Canary)
	}
	return e
}

func rolledBack(c *postdate.Canary) { c.State = postdate.CanaryRolledBack }

// sides records where messages go: hosts, by id.
type sides struct {
	mu      sync.Mutex
	targets []postdate.Target
	ids     []string
}

func (s *sides) record(f *fakes, answers map[string]int) {
	f.answer = func(_ context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.targets, s.ids = append(s.targets, to), append(s.ids, m.ID)
		status := http.StatusNoContent
		for host, other := range answers {
			if strings.Contains(to.URL, host) {
				status = other
			}
		}
		attempt := postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: status}
		switch {
		case status == http.StatusGone:
			attempt.Outcome = postdate.Gone
		case status >= http.StatusMultipleChoices:
			attempt.Outcome = postdate.Failed
		}
		return attempt, nil
	}
}

func (s *sides) hosts() (hosts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, target := range s.targets {
		host, _, _ := strings.Cut(strings.TrimPrefix(target.URL, "https://"), "/")
		hosts = append(hosts, host)
	}
	return hosts
}

func TestSend_GoesToTheCanaryOfItsEntity(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary())
	var seen sides
	seen.record(f, nil)
	attempt := f.send(task(postdate.Destination{Endpoint: "ep_1"}))
	require.Equal(t, "cn_1", attempt.Canary)
	require.Equal(t, []string{"next.example"}, seen.hosts())
	require.Equal(t, "cn_1", seen.targets[0].Canary)
	require.Equal(t, endpoint("ep_1", "").Secrets.At(now), seen.targets[0].Secrets, "signed as ever")
	require.Equal(t, "cn_1", f.line()["canary"])
	require.Equal(t, "next.example", f.line()["host"])

	other := task(postdate.Destination{Endpoint: "ep_1"})
	other.Message.Entity = ""
	require.Empty(t, f.send(other).Canary)
	require.Equal(t, "ep_1.example", seen.hosts()[1])
}

func TestSend_StaysWhereTheAttemptBeforeWent(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary())
	var seen sides
	seen.record(f, nil)
	s := task(postdate.Destination{Endpoint: "ep_1"})
	s.Took = postdate.TookPrimary
	require.Empty(t, f.send(s).Canary, "though its entity is the canary's by now")
	s.Took, s.Message.Entity = "cn_1", "somebody"
	require.Equal(t, "cn_1", f.send(s).Canary)
	s.Took = "cn_0"
	require.Empty(t, f.send(s).Canary, "a canary before this one")
	f.tenant.Endpoints[0] = withCanary(rolledBack)
	s.Took = "cn_1"
	require.Empty(t, f.send(s).Canary, "it is rolled back")
}

func TestRetry_FollowsItsLogAndLeavesACanaryThatIsRolledBack(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary())
	var seen sides
	seen.record(f, map[string]int{"next": 503})
	in := protocol.RetryInput{Shipment: task(postdate.Destination{Endpoint: "ep_1"}), Plan: postdate.RetryPlan{Retry: postdate.Retry{}.WithDefaults()}}
	require.Error(t, f.run(protocol.RetryActivity, in, nil), "the first attempt fails, at the canary")
	require.Equal(t, []string{"next.example"}, seen.hosts())

	f.tenant.Endpoints[0] = withCanary(rolledBack)
	log := postdate.Attempts{}.Append(postdate.Attempt{Canary: "cn_1", Outcome: postdate.Failed, At: now})
	again := newFakes(t, withCanary(rolledBack))
	seen = sides{}
	seen.record(again, map[string]int{"next": 503})
	again.SetHeartbeatDetails(log)
	in.Attempts = log
	var made postdate.Attempts
	require.NoError(t, again.run(protocol.RetryActivity, in, &made))
	require.Equal(t, []string{"ep_1.example"}, seen.hosts())
	require.Equal(t, []string{"cn_1", ""}, []string{made[0].Canary, made[1].Canary})
}

func TestSend_TakesACanaryThatIsGoneForAFailure(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary())
	var seen sides
	seen.record(f, map[string]int{"next": http.StatusGone})
	attempt := f.send(task(postdate.Destination{Endpoint: "ep_1"}))
	require.Equal(t, postdate.Failed, attempt.Outcome, "it goes on at the primary")
	require.True(t, attempt.Disable, "which has the canary rolled back")
	require.Equal(t, http.StatusGone, attempt.Status)
}

func TestSend_WaitsForThePermitOfItsSide(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary())
	f.permits = func(throttle.PermitRequest) bool { return false }
	attempt := f.send(task(postdate.Destination{Endpoint: "ep_1"}))
	require.Equal(t, protocol.NoPermit, attempt.Outcome)
	require.Equal(t, "cn_1", attempt.Canary, "so that it is queued there")
}

func TestSendGroup_SplitsAnEndpointsItemsByTheirSides(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary())
	var seen sides
	seen.record(f, nil)
	in := protocol.GroupInput{At: now}
	for i, entity := range []string{"customer_42", "somebody", "", "customer_42"} {
		m := task(postdate.Destination{}).Message
		m.Entity = entity
		in.Messages = append(in.Messages, m)
		in.Items = append(in.Items, protocol.GroupItem{Event: i, Endpoint: "ep_1"})
	}
	var made []protocol.GroupAttempt
	require.NoError(t, f.run(protocol.SendGroupActivity, in, &made))
	require.Equal(t, []string{"cn_1", "", "", "cn_1"}, []string{made[0].Canary, made[1].Canary, made[2].Canary, made[3].Canary})
	require.Len(t, f.requests, 2, "a permit for each side")
}

func TestSendLine_SendsToItsCanaryAndLeavesItOnceThatIsRolledBack(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary())
	var seen sides
	seen.record(f, nil)
	in := lineOf(2)
	in.Canary = "cn_1"
	progress := f.sendLine(in)
	require.Len(t, progress.Made, 2)
	require.False(t, progress.NoCanary)
	require.Equal(t, []string{"next.example", "next.example"}, seen.hosts(), "whoever they are about: they were queued there")
	require.Equal(t, "cn_1", progress.Made[0].Canary)

	again := newFakes(t, withCanary(rolledBack))
	progress = again.sendLine(in)
	require.True(t, progress.NoCanary)
	require.Empty(t, progress.Made, "they wait for the primary")
}

func TestSend_MirrorsItsFirstAttemptAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary(func(c *postdate.Canary) { c.Mirror = true }))
	var seen sides
	seen.record(f, map[string]int{"next": 500})
	s := task(postdate.Destination{Endpoint: "ep_1"})
	attempt := f.send(s)
	require.Equal(t, postdate.Accepted, attempt.Outcome, "what the canary answers changes nothing")
	require.Empty(t, attempt.Canary)
	eventually.True(t, func() bool { return len(seen.hosts()) == 2 })
	require.ElementsMatch(t, []string{"ep_1.example", "next.example"}, seen.hosts())
	for _, target := range seen.targets {
		require.Equal(t, target.Canary == "cn_1", target.Mirror)
	}

	s.Took = postdate.TookPrimary // a retry
	f.send(s)
	s.Took, s.Message.Entity = "", "somebody"
	f.send(s)
	s.Test, s.Message.Entity = true, "customer_42"
	f.send(s)
	eventually.True(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.ended) == 5 })
	require.Len(t, seen.hosts(), 5, "one copy in all, which is not sent again")
}

func TestSend_MirrorsNothingThatHasNoPermit(t *testing.T) {
	t.Parallel()
	f := newFakes(t, withCanary(func(c *postdate.Canary) { c.Mirror = true }))
	var seen sides
	seen.record(f, nil)
	asked := make(chan struct{}, 2)
	first := true
	f.permits = func(throttle.PermitRequest) bool {
		defer func() { first = false; asked <- struct{}{} }()
		return first // the message's own
	}
	require.Equal(t, postdate.Accepted, f.send(task(postdate.Destination{Endpoint: "ep_1"})).Outcome)
	<-asked
	<-asked
	require.Equal(t, []string{"ep_1.example"}, seen.hosts())
}
