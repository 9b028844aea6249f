package activities_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// locally runs an activity as a local one, as workflows do.
func (f *fakes) locally(activity, in, out any) error {
	f.t.Helper()
	result, err := f.ExecuteLocalActivity(activity, in)
	if err != nil {
		return err
	}
	return result.Get(out)
}

// countSends counts what is sent.
func (f *fakes) countSends(answer postdate.Attempt, err error) *atomic.Int64 {
	var sends atomic.Int64
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		sends.Add(1)
		return answer, err
	}
	return &sends
}

func TestSend_IsNotRepeatedForARunAndNumber(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	sends := f.countSends(postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200, Response: "thanks"}, nil)
	s := task(postdate.Destination{Endpoint: "ep_1"})
	s.Number = 1
	var first, again, next postdate.Attempt
	require.NoError(t, f.locally(f.activities.Send, s, &first))
	require.NoError(t, f.locally(f.activities.Send, s, &again))
	require.Equal(t, first, again)
	require.Equal(t, int64(1), sends.Load())
	s.Number = 2
	require.NoError(t, f.locally(f.activities.Send, s, &next))
	require.Equal(t, 2, next.Number)
	require.Equal(t, int64(2), sends.Load(), "another attempt of the same run is made")
}

func TestSend_AsARegularActivityIsMadeAsOftenAsTemporalSays(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	sends := f.countSends(postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200}, nil)
	s := task(postdate.Destination{Endpoint: "ep_1"})
	f.send(s)
	f.send(s)
	require.Equal(t, int64(2), sends.Load())
}

func TestSend_IsMadeAgainWhereNoAttemptWasMade(t *testing.T) {
	t.Parallel()
	s := task(postdate.Destination{Endpoint: "ep_1"})
	var attempt postdate.Attempt

	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	sends := f.countSends(postdate.Attempt{}, errOurs)
	require.Error(t, f.locally(f.activities.Send, s, &attempt))
	require.Error(t, f.locally(f.activities.Send, s, &attempt))
	require.Equal(t, int64(2), sends.Load())

	f = newFakes(t, endpoint("ep_1", postdate.Paused))
	sends = f.countSends(postdate.Attempt{Outcome: postdate.Accepted}, nil)
	require.NoError(t, f.locally(f.activities.Send, s, &attempt))
	require.Equal(t, protocol.NotEnabled, attempt.Outcome)
	f.tenant.Endpoints[0].State = postdate.Enabled
	require.NoError(t, f.locally(f.activities.Send, s, &attempt))
	require.Equal(t, postdate.Accepted, attempt.Outcome)
	require.Equal(t, int64(1), sends.Load())
}

func TestSendGroup_IsNotRepeatedForARun(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled), endpoint("ep_2", postdate.Enabled))
	sends := f.countSends(postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200}, nil)
	in := protocol.GroupInput{Messages: []postdate.Message{task(postdate.Destination{}).Message}, Items: []protocol.GroupItem{{Endpoint: "ep_1"}, {Endpoint: "ep_2"}}}
	var first, again []protocol.GroupAttempt
	require.NoError(t, f.locally(f.activities.SendGroup, in, &first))
	require.NoError(t, f.locally(f.activities.SendGroup, in, &again))
	require.Equal(t, first, again)
	require.Equal(t, int64(2), sends.Load())
}

func TestSend_MakesNoAttemptOnceItHasExpired(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	s := task(postdate.Destination{Endpoint: "ep_1"})
	s.ExpiresAt = now
	attempt := f.send(s)
	require.Equal(t, protocol.TooLate, attempt.Outcome)
	state, reason := protocol.End(attempt.Outcome)
	require.Equal(t, postdate.Expired, state)
	require.Equal(t, "expired: at 2026-11-23T09:00:00Z, before the attempt began", attempt.Because(reason))
	require.False(t, protocol.Attempted(attempt.Outcome))
	require.Empty(t, f.requests)
}

func TestSend_ReturnsAPermitThatCameTooLate(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	s := task(postdate.Destination{Endpoint: "ep_1"})
	s.ExpiresAt = now.Add(time.Second)
	f.permits = func(throttle.PermitRequest) bool {
		f.passed = time.Second // it takes so long to come
		return true
	}
	require.Equal(t, protocol.TooLate, f.send(s).Outcome)
	require.Equal(t, []postdate.Outcome{""}, f.ended, "and is free for others")
}

func TestSentMemory_IsBounded(t *testing.T) {
	t.Parallel()
	const all = 10_000
	attempt := postdate.Attempt{Outcome: postdate.Accepted, Response: strings.Repeat("x", postdate.MaxResponse)}
	bytes, runs, newest := activities.Remember(all, attempt)
	require.Greater(t, bytes, 16<<20)
	require.LessOrEqual(t, bytes, 32<<20)
	require.Less(t, runs, all)
	require.True(t, newest, "the oldest are forgotten")
}
