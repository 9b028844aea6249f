package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate/internal/eventually"
)

func TestVisibility_FindsByEveryAttribute(t *testing.T) {
	t.Parallel()
	findsByEveryAttribute(t, Config{DataDir: t.TempDir(), SearchAttributes: attributes})
}

func findsByEveryAttribute(t *testing.T, config Config) {
	t.Helper()
	e := start(t, config)
	startOneOfEach(t, dial(t, e))
	e.Stop()
	findEachByEverything(t, dial(t, start(t, config)))
}

// startOneOfEach leaves one execution that sleeps, one done and one failed.
func startOneOfEach(t *testing.T, c client.Client) {
	t.Helper()
	work(t, c)
	for _, one := range []struct {
		id, tenant, state, name string
		delay                   time.Duration
	}{
		{"schedule/acme/sleeping", "acme", "scheduled", "later", time.Hour},
		{"schedule/acme/done", "acme", "delivered", "now", 0},
		{"schedule/umbrella/failed", "umbrella", "dead", "", 0},
	} {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: one.id, TaskQueue: queue, StartDelay: one.delay,
			TypedSearchAttributes: temporal.NewSearchAttributes(
				temporal.NewSearchAttributeKeyKeyword("Tenant").ValueSet(one.tenant),
				temporal.NewSearchAttributeKeyKeyword("State").ValueSet(one.state),
				temporal.NewSearchAttributeKeyKeywordList("Entity").ValueSet([]string{"customer_42", one.id}),
				temporal.NewSearchAttributeKeyKeywordList("Endpoint").ValueSet([]string{"ep_" + one.state, "ep_2"}),
				temporal.NewSearchAttributeKeyKeywordList("MessageType").ValueSet([]string{"payment." + one.state}),
			),
		}, greet, one.name)
		require.NoError(t, err)
		if one.delay == 0 {
			_ = run.Get(t.Context(), nil)
		}
	}
}

func findEachByEverything(t *testing.T, c client.Client) {
	t.Helper()
	hourAgo, soon := time.Now().Add(-time.Hour).Format(time.RFC3339), time.Now().Add(time.Minute).Format(time.RFC3339)
	for query, want := range map[string]int{
		"":                                        3,
		"Tenant = 'acme'":                         2,
		"State = 'dead'":                          1,
		"Entity = 'customer_42'":                  3,
		"Entity = 'schedule/acme/done'":           1,
		"Endpoint IN ('ep_dead', 'ep_absent')":    1,
		"MessageType = 'payment.scheduled'":       1,
		"WorkflowType = 'greet'":                  3,
		"WorkflowId STARTS_WITH 'schedule/acm'":   2,
		"ExecutionStatus = 'Running'":             1,
		fmt.Sprintf("ExecutionTime > '%s'", soon): 1,
		fmt.Sprintf("ExecutionTime BETWEEN '%s' AND '%s'", hourAgo, soon):                 2,
		fmt.Sprintf("StartTime > '%s'", hourAgo):                                          3,
		fmt.Sprintf("CloseTime > '%s'", hourAgo):                                          2,
		"Tenant = 'acme' AND Endpoint = 'ep_2' AND ExecutionStatus = 'Completed'":         1,
		"TemporalNamespaceDivision = 'TemporalScheduler' AND ExecutionStatus=\"Running\"": 0,
	} {
		eventually.True(t, func() bool {
			list, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
			require.NoError(t, err, query)
			return len(list.GetExecutions()) == want
		}, query)
	}

	counts, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
		Query: "Tenant = 'acme' GROUP BY ExecutionStatus",
	})
	require.NoError(t, err)
	require.EqualValues(t, 2, counts.GetCount())
	require.Len(t, counts.GetGroups(), 2)
}

func TestVisibility_KeepsTheIndexesThatAreUsed(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: t.TempDir(), SearchAttributes: lists("Entity")}
	e := start(t, config)
	require.ElementsMatch(t, append([]string{"postdate_by_temporal_namespace_division"}, kept...), indexes(t, e))
	e.Stop()

	config.SearchAttributes = attributes
	e = start(t, config)
	require.Subset(t, indexes(t, e), []string{"postdate_by_keyword_01", "postdate_by_keyword_02"})
}

func TestVisibility_SearchesTheIndexThatNarrowsMost(t *testing.T) {
	t.Parallel()
	e := start(t, Config{DataDir: t.TempDir(), SearchAttributes: attributes, CountBy: []string{"Tenant", "State"}})
	const tenant = "Keyword02 = 'acme'"
	for where, index := range map[string]string{
		"true":                     "default_idx",
		tenant:                     "postdate_by_keyword_02",
		tenant + " AND status = 1": "postdate_by_keyword_02",
		tenant + " AND execution_time > '2030-01-01' AND workflow_type_name = 'Deliver'":                                                           "postdate_by_keyword_02",
		tenant + " AND workflow_id LIKE 'schedule/acme/%' ESCAPE '!'":                                                                              "postdate_by_keyword_02",
		tenant + " AND start_time > '2030-01-01' AND start_time <= '2030-02-01'":                                                                   "postdate_by_keyword_02_start",
		tenant + " AND start_time > '2030-01-01' AND start_time <= '2030-02-01' AND workflow_type_name IN ('Deliver', 'Dispatch') AND status != 6": "postdate_by_keyword_02_start",
		tenant + " AND start_time > '2030-01-01' AND start_time <= '2030-02-01' AND workflow_type_name IN ('Deliver', 'Dispatch') AND status = 1":  "postdate_by_keyword_02_start",
		"status = 1": "by_status",
		"workflow_type_name = 'Tenant' AND status = 1":         "by_workflow_type",
		"workflow_id LIKE 'tenant/%' ESCAPE '!'":               "by_workflow_id",
		"workflow_id = 'schedule/acme/1' AND status = 1":       "by_workflow_id",
		"execution_time BETWEEN '2030-01-01' AND '2030-02-01'": "by_execution_time",
	} {
		require.Contains(t, plan(t, e, where), " USING INDEX "+index+" (", where)
	}
}

// TestVisibility_CountsWhatIsDueByItsTime has what a tenant has due within a second
// counted among that, and not among all of the tenant's.
func TestVisibility_CountsWhatIsDueByItsTime(t *testing.T) {
	t.Parallel()
	e := start(t, Config{DataDir: t.TempDir(), SearchAttributes: attributes})
	require.Contains(t, explain(t, e, `SELECT count(*) FROM executions_visibility WHERE namespace_id = 'n'
		AND (Keyword02 = 'acme' AND Keyword01 IS NULL AND status = 1 AND execution_time >= '2030-01-01' AND execution_time < '2030-01-02')
		AND TemporalNamespaceDivision IS NULL`), " USING INDEX by_execution_time (")
	require.Contains(t, explain(t, e, `SELECT count(*) FROM executions_visibility WHERE namespace_id = 'n'
		AND (Keyword01 = 'acme 2030-01-01T00:00:00Z' AND status = 1) AND TemporalNamespaceDivision IS NULL`),
		" USING INDEX postdate_by_keyword_01")
}

// TestVisibility_CountsWhatIsOpenAlone has a tenant's open executions counted among
// themselves, and not among those that have ended.
func TestVisibility_CountsWhatIsOpenAlone(t *testing.T) {
	t.Parallel()
	e := start(t, Config{DataDir: t.TempDir(), SearchAttributes: attributes, CountBy: []string{"Tenant", "State"}})
	for _, by := range []string{"Keyword01 IS NULL", "Keyword01 = '4'", "Keyword01 IN ('4', '8')"} {
		require.Contains(t, explain(t, e, `SELECT count(*) FROM executions_visibility WHERE namespace_id = 'n'
			AND (Keyword02 = 'acme' AND `+by+` AND workflow_type_name IN ('Deliver', 'Dispatch') AND status = 1) AND TemporalNamespaceDivision IS NULL`),
			" USING INDEX postdate_count (namespace_id=? AND Keyword02=? AND Keyword01=? AND status=?", by)
	}
}

func TestVisibility_CountsByWhatIsASearchAttribute(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Config{Memory: true, SearchAttributes: attributes, CountBy: []string{"Tenant", "Shoe"}})
	require.ErrorContains(t, err, "Shoe")
}

// plan is how SQLite goes about a list, as the server asks for it.
func plan(t *testing.T, e *Engine, where string) string {
	t.Helper()
	return explain(t, e, `SELECT run_id FROM executions_visibility
		WHERE namespace_id = 'n' AND (`+where+`) AND TemporalNamespaceDivision IS NULL
		ORDER BY coalesce(close_time, '9999-12-31 23:59:59+00:00') DESC, start_time DESC, run_id LIMIT 20`)
}

func explain(t *testing.T, e *Engine, query string) string {
	t.Helper()
	db, err := e.store.openVisibility()
	require.NoError(t, err)
	defer db.Close()
	var id, parent, unused int
	var detail string
	require.NoError(t, db.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN "+query).Scan(&id, &parent, &unused, &detail))
	return detail
}

func indexes(t *testing.T, e *Engine) []string {
	t.Helper()
	db, err := e.store.openVisibility()
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(),
		"SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'executions_visibility' AND sql IS NOT NULL")
	require.NoError(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}
