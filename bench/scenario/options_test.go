package scenario

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/system"
)

// full are the options of a run without flags.
func full() Options {
	return Options{
		System: system.Config{Clients: 1, BatchEvery: time.Second}, Rivals: true,
		Rounds: 1, Messages: 1, Singles: 1, Pending: 1, Steady: time.Second, Streams: time.Second,
	}
}

func with(change func(*Options)) Options {
	o := full()
	change(&o)
	return o
}

func quick(o *Options)        { o.Quick = true }
func noRivals(o *Options)     { o.Rivals = false }
func onPostgreSQL(o *Options) { o.System.Postgres = "postgres://u:p@127.0.0.1/postgres" }

func only(names ...string) func(*Options) { return func(o *Options) { o.Only = names } }

// picked are the names of the scenarios that a run with those options measures.
func picked(o Options) []string {
	var names []string
	for _, s := range scenarios {
		if o.picks(s) {
			names = append(names, s.name)
		}
	}
	return names
}

func TestOptions_RefuseWhatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	require.NoError(t, full().Validate())
	for _, change := range []func(*Options){
		only("nightly"),
		func(o *Options) { o.Rounds = 0 },
		func(o *Options) { o.System.BatchEvery = 0 },
		func(o *Options) { o.System.Postgres = "localhost" },
	} {
		require.Error(t, with(change).Validate())
	}
}

func TestOptions_PickTheScenariosThatThereIsTimeFor(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"immediate", "due_at_once", "steady", "unnamed_1", "batch"}, picked(with(quick)))
	require.Subset(t, picked(full()), picked(with(quick)))
	require.NotContains(t, picked(full()), "due_at_once_30000")
	named := with(only("far_future", "due_at_once_30000"))
	require.Equal(t, []string{"due_at_once_30000", "far_future"}, picked(named))
	named.Quick = true
	require.Equal(t, []string{"due_at_once_30000", "far_future"}, picked(named))
	require.Equal(t, []string{"due_spread", "due_at_once_unnamed", "recurrences", "due_in_2s"}, LeftOut(Quick)[:4])
	require.Equal(t, []string{"due_at_once_30000", "recurrences_crash", "round_trip_published", "imported_at_once", "slow_crm_3", "outage", "rate_50", "crash"}, LeftOut(Full))
}

func TestOptions_WithQuickOnlyImmediateHasRivals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Options)
		alone  []string
	}{
		{quick, []string{"due_at_once"}},
		{func(o *Options) { quick(o); only("due_at_once")(o) }, nil},
		{noRivals, []string{"immediate", "due_at_once", "due_at_once_30000", "due_at_once_unnamed"}},
		{func(*Options) {}, []string(nil)},
	} {
		o := with(c.change)
		var alone []string
		for _, s := range scenarios {
			if len(s.rivals) > 0 && (s.extent == Quick || !o.Quick) && len(o.systems(s)) == 1 {
				alone = append(alone, s.name)
			}
		}
		require.Equal(t, c.alone, alone)
	}
}

func TestOptions_OnPostgreSQLPickTheScenariosThatHaveRivalsThere(t *testing.T) {
	t.Parallel()
	o := with(onPostgreSQL)
	require.Equal(t, []string{"immediate", "due_at_once", "due_at_once_unnamed", "steady", "unnamed_1"}, picked(o))
	for _, s := range scenarios {
		require.Equal(t, system.PostdatePostgres, o.systems(s)[0])
	}
	only("due_spread")(&o)
	noRivals(&o)
	require.Equal(t, []string{"due_spread"}, picked(o))
	for _, s := range scenarios {
		require.Equal(t, []string{system.PostdatePostgres}, o.systems(s))
	}
}

func TestOptions_MeasureSmallDifferencesMoreOften(t *testing.T) {
	t.Parallel()
	o := with(func(o *Options) { o.Rounds = 2 })
	rounds := make(map[string]int)
	for _, s := range scenarios {
		rounds[s.name] = o.rounds(s)
	}
	require.Equal(t, 6, rounds["immediate"])
	require.Equal(t, 2, rounds["due_at_once"])
	require.Equal(t, 1, rounds["steady"], "nothing stands beside it")
}

func TestMeasure_NamesTheScenarioAndTheSystemThatFailed(t *testing.T) {
	t.Parallel()
	o := with(only("steady"))
	o.Dir, o.System.Binary = t.TempDir(), "/no/such/postdate"
	results, err := Measure(t.Context(), o, io.Discard)
	require.ErrorContains(t, err, "steady on sqlite: start postdate: ")
	require.Empty(t, results)
}
