package quotas_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/quotas"
	"github.com/postdate/postdate/protocol"
)

const tenant = "acme"

// fakeTemporal holds executions as the test says.
type fakeTemporal struct {
	mu      sync.Mutex
	single  int            // deliveries by themselves
	classes map[string]int // of them, by size class
	groups  []int          // the deliveries of each group
	fails   error
	// ofSchedules: the groups are of schedules, in each of which one more was cancelled.
	ofSchedules bool
	takes       time.Duration
	counts      atomic.Int64 // how often single ones were counted
}

func (f *fakeTemporal) set(change func(*fakeTemporal)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeTemporal) CountOpen(_ context.Context, condition string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, class, ok := strings.Cut(condition, "Size = '"); ok {
		return f.classes[strings.TrimSuffix(class, "'")], f.fails
	}
	large := 0
	for _, n := range f.classes {
		large += n
	}
	isLarge := strings.Contains(condition, "Size IN ('4', '8', ")
	switch {
	case strings.Contains(condition, "WorkflowType IN ('Dispatch', 'Line', 'ScheduleGroup')"):
		if isLarge {
			return 0, f.fails
		}
		return len(f.groups), f.fails
	case isLarge:
		return large, f.fails
	default:
		f.counts.Add(1)
		time.Sleep(f.takes)
		return f.single - large, f.fails
	}
}

func (f *fakeTemporal) FirstOpen(_ context.Context, _ string, n int32) ([]*workflowpb.WorkflowExecutionInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make([]*workflowpb.WorkflowExecutionInfo, min(int(n), len(f.groups)))
	for i := range found {
		found[i] = &workflowpb.WorkflowExecutionInfo{HistoryLength: int64(i), Execution: &commonpb.WorkflowExecution{}}
		if f.ofSchedules {
			found[i].Type = &commonpb.WorkflowType{Name: protocol.ScheduleGroupWorkflow}
		}
	}
	return found, f.fails
}

func (f *fakeTemporal) ReadMemo(info *workflowpb.WorkflowExecutionInfo, _ string, into any) error {
	n := f.groups[info.GetHistoryLength()]
	switch group := into.(type) {
	case *protocol.Group:
		group.Events = []protocol.GroupedEvent{{Endpoints: make([]string, n)}}
	case *protocol.GroupedSchedules:
		group.Schedules = append(make([]protocol.GroupedSchedule, n), protocol.GroupedSchedule{CancelledAt: time.Now()})
	default:
		return errors.New("not a group")
	}
	return nil
}

func newStore(t *testing.T, temporal *fakeTemporal, limits quotas.Amount) *quotas.Store {
	t.Helper()
	s, err := quotas.New(quotas.Config{Executions: temporal, Limits: limits})
	require.NoError(t, err)
	return s
}

// admit admits n messages, one by one, and returns how many were.
func admit(t *testing.T, s *quotas.Store, n int) (admitted int, refusal error) {
	t.Helper()
	for range n {
		if _, err := s.Admit(t.Context(), tenant, 1, 100); err != nil {
			return admitted, err
		}
		admitted++
	}
	return admitted, nil
}

func TestAdmit_RefusesWhatIsBeyondTheQuotaAndNotWhatReachesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, &fakeTemporal{single: 7}, quotas.Amount{Messages: 10})
		admitted, err := admit(t, s, 5)
		require.Equal(t, 3, admitted)
		require.Equal(t, postdate.QuotaPending, postdate.CodeOf(err))
		require.ErrorContains(t, err, "10 messages")

		_, err = s.Admit(t.Context(), "another", 11, 0)
		require.Equal(t, postdate.QuotaPending, postdate.CodeOf(err), "the fake counts for all")
	})
}

func TestAdmit_BoundsBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &fakeTemporal{single: 3, classes: map[string]int{"4": 1, "256": 1}}
		s := newStore(t, temporal, quotas.Amount{Bytes: 1 << 20})
		used, err := s.Usage(t.Context(), tenant)
		require.NoError(t, err)
		require.Equal(t, quotas.Amount{Messages: 3, Bytes: 2<<10 + 6<<10 + 384<<10}, used)

		_, err = s.Admit(t.Context(), tenant, 1, 700<<10)
		require.Equal(t, postdate.QuotaBytes, postdate.CodeOf(err))
		_, err = s.Admit(t.Context(), tenant, 1, 600<<10)
		require.NoError(t, err)
	})
}

// What is not kept after all leaves no trace: neither a repeated id nor a failed start
// counts.
func TestAdmit_TakesBackWhatIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, &fakeTemporal{}, quotas.Amount{Messages: 1})
		for range 100 {
			release, err := s.Admit(t.Context(), tenant, 1, 100)
			require.NoError(t, err)
			release()
		}
		used, err := s.Usage(t.Context(), tenant)
		require.NoError(t, err)
		require.Zero(t, used)
	})
}

// A count replaces what this process added up, so that no error of it lasts: what has ended
// leaves, and what another process accepted, or one that crashed, is there.
func TestAdmit_FollowsTemporalsCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &fakeTemporal{}
		s := newStore(t, temporal, quotas.Amount{Messages: 10})
		admitted, err := admit(t, s, 11)
		require.Equal(t, 10, admitted)
		require.Error(t, err)

		time.Sleep(time.Minute) // and all were delivered
		admitted, _ = admit(t, s, 11)
		require.Equal(t, 10, admitted)

		temporal.set(func(f *fakeTemporal) { f.single = 9 }) // by whomever
		time.Sleep(time.Minute)
		admitted, _ = admit(t, s, 11)
		require.Equal(t, 1, admitted)

		restarted := newStore(t, temporal, quotas.Amount{Messages: 10})
		admitted, _ = admit(t, restarted, 11)
		require.Equal(t, 1, admitted)
	})
}

// What was accepted a moment ago is not forgotten where the count does not have it yet, nor
// is it counted twice where it has.
func TestAdmit_CountsOnceWhatTheCountMayNotHaveYet(t *testing.T) {
	t.Parallel()
	for name, counted := range map[string]int{"behind": 0, "there": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				temporal := &fakeTemporal{}
				s := newStore(t, temporal, quotas.Amount{Messages: 15})
				time.Sleep(11 * time.Second)
				admitted, err := admit(t, s, 10)
				require.NoError(t, err)
				require.Equal(t, 10, admitted)
				temporal.set(func(f *fakeTemporal) { f.single = counted })
				time.Sleep(1500 * time.Millisecond) // it is counted again before it refuses
				admitted, err = admit(t, s, 10)
				require.Equal(t, 5, admitted)
				require.Error(t, err)
			})
		})
	}
}

func TestUsage_EstimatesGroupsByThoseThatItReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &fakeTemporal{single: 5, groups: []int{2, 0, 4}}
		used, err := newStore(t, temporal, quotas.Amount{}).Usage(t.Context(), tenant)
		require.NoError(t, err)
		require.Equal(t, int64(5+6), used.Messages)

		temporal.ofSchedules = true
		used, err = newStore(t, temporal, quotas.Amount{}).Usage(t.Context(), tenant)
		require.NoError(t, err)
		require.Equal(t, int64(5+6), used.Messages)
		temporal.ofSchedules = false

		temporal.groups = nil
		for n := range 1000 {
			temporal.groups = append(temporal.groups, 1+n%3)
		}
		used, err = newStore(t, temporal, quotas.Amount{}).Usage(t.Context(), tenant)
		require.NoError(t, err)
		require.InDelta(t, 5+2000, used.Messages, 30)
	})
}

// Counting costs at most a fiftieth of the time, and callers wait for one together.
func TestAdmit_CountsSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &fakeTemporal{takes: time.Second}
		s := newStore(t, temporal, quotas.Amount{Messages: 1_000_000})
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { _, _ = s.Admit(t.Context(), tenant, 1, 100) })
		}
		callers.Wait()
		require.Equal(t, int64(1), temporal.counts.Load())
		for range 600 {
			_, err := admit(t, s, 1)
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		require.InDelta(t, 12, temporal.counts.Load(), 1)
		synctest.Wait()
	})
}

func TestAdmit_RefusesNobodyWhereTemporalDoesNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		temporal := &fakeTemporal{fails: errors.New("the database is away")}
		s := newStore(t, temporal, quotas.Amount{Messages: 10})
		admitted, err := admit(t, s, 100)
		require.NoError(t, err)
		require.Equal(t, 100, admitted)
		_, err = s.Usage(t.Context(), tenant)
		require.ErrorContains(t, err, "away")

		temporal.set(func(f *fakeTemporal) { f.fails, f.single = nil, 100 })
		time.Sleep(time.Minute)
		_, err = admit(t, s, 1)
		require.Equal(t, postdate.QuotaPending, postdate.CodeOf(err))
	})
}

// A thousand callers at once get no more than there is.
func TestAdmit_IsExactForCallersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, &fakeTemporal{}, quotas.Amount{Messages: 100})
		var admitted atomic.Int64
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				if _, err := s.Admit(t.Context(), tenant, 1, 0); err == nil {
					admitted.Add(1)
				}
			})
		}
		callers.Wait()
		require.Equal(t, int64(100), admitted.Load())
	})
}

func TestMetrics_SayWhatIsUsedAndRefused(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	s, err := quotas.New(quotas.Config{
		Executions: &fakeTemporal{single: 2}, Limits: quotas.Amount{Messages: 3, Bytes: 1 << 20},
		Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
	})
	require.NoError(t, err)
	admitted, _ := admit(t, s, 2)
	require.Equal(t, 1, admitted)

	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &collected))
	values := make(map[string]int64)
	read := func(name string, points []metricdata.DataPoint[int64]) {
		for _, point := range points {
			quota, _ := point.Attributes.Value(attribute.Key("quota"))
			values[name+" "+quota.AsString()] = point.Value
		}
	}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			read(m.Name, data.DataPoints)
		case metricdata.Sum[int64]:
			read(m.Name, data.DataPoints)
		}
	}
	require.Equal(t, map[string]int64{
		"postdate_quota_limit quota_pending": 3, "postdate_quota_limit quota_bytes": 1 << 20,
		"postdate_quota_used quota_pending": 3, "postdate_quota_used quota_bytes": 4<<10 + 100,
		"postdate_quota_refusals quota_pending": 1,
	}, values)
}
