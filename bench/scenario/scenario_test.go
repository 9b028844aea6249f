package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/system"
)

func TestScenarios_NameSystemsThatThereAre(t *testing.T) {
	t.Parallel()
	known := system.Names()
	for _, s := range scenarios {
		require.Subset(t, known, s.rivals, s.name)
		require.Subset(t, known, s.postgresRivals, s.name)
	}
	for name, standard := range standards {
		require.Subset(t, known, []string{name, standard.Floor, standard.Naive, standard.Batch16})
	}
}

func TestScenarios_HaveANameEach(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, name := range Names() {
		require.False(t, names[name], name)
		names[name] = true
	}
	for _, target := range Targets() {
		require.Contains(t, names, target.Scenario)
	}
}
