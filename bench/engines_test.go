package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEngines_StartWhateverAScenarioNames(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--postgres", "postgres://u:p@127.0.0.1/postgres"}} {
		o, err := parseOptions(args, io.Discard)
		require.NoError(t, err)
		for _, s := range scenarios {
			for _, name := range o.entrants(s) {
				require.Contains(t, engines, name, s.name)
			}
		}
	}
}

func TestEngines_OnPostgreSQLRunTheScenariosThatHaveRivalsThere(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"--postgres", "postgres://u:p@127.0.0.1/postgres"}, io.Discard)
	require.NoError(t, err)
	var picked []string
	for _, s := range scenarios {
		if o.picks(s) {
			picked = append(picked, s.name)
			require.Equal(t, postgresEngine, o.entrants(s)[0])
		}
	}
	require.Len(t, picked, len(postgresRivals), "each is the name of a scenario")

	o, err = parseOptions([]string{"--postgres", "postgres://u:p@127.0.0.1/postgres", "--scenarios", "due_spread", "--rivals=false"}, io.Discard)
	require.NoError(t, err)
	for _, s := range scenarios {
		require.Equal(t, s.name == "due_spread", o.picks(s))
		require.Equal(t, []string{postgresEngine}, o.entrants(s))
	}
}

func TestCompare_TakesWhatHasTheSameDatabase(t *testing.T) {
	t.Parallel()
	all := []result{
		{Scenario: "immediate", Engine: postgresEngine, DeliveredPerS: 60},
		{Scenario: "immediate", Engine: naivePostgresEngine, DeliveredPerS: 20},
		{Scenario: "immediate", Engine: floorPostgresEngine, DeliveredPerS: 100},
		{Scenario: "immediate", Engine: naiveEngine, DeliveredPerS: 1},
		{Scenario: "immediate", Engine: floorEngine, DeliveredPerS: 1},
	}
	all[0].compare(all)
	require.InDelta(t, 3.0, all[0].RatioToNaive, 0)
	require.InDelta(t, 0.6, all[0].RatioToFloor, 0)
}

func TestDatabase_IsInTheServerThatIsNamed(t *testing.T) {
	t.Parallel()
	url, err := inServer("postgres://u:secret@127.0.0.1:5432/postgres?sslmode=disable", "other")
	require.NoError(t, err)
	require.Equal(t, "postgres://u:secret@127.0.0.1:5432/other?sslmode=disable", url)

	_, err = createDatabase(t.Context(), "")
	require.ErrorContains(t, err, "--postgres")
}
