package engine

import (
	"context"
	"regexp"
	"slices"
	"strings"
)

// kept are the indexes that Postdate's queries and the Web UI's lists use, of
// the 60 and more that Temporal's schema has. Each one costs three writes in the
// life of an execution, whether it is ever read or not.
var kept = []string{
	"default_idx",       // every list's order: running first, then the latest
	"by_execution_time", // what is due when
	"by_workflow_id",    // prefixes: one tenant's schedules
	"by_workflow_type",  // the rare types among many deliveries
	"by_status",         // counts by status, and the Web UI's filter
}

// indexStatement finds the name and the column of a visibility index.
var indexStatement = regexp.MustCompile(
	`(?is)^CREATE INDEX\s+(\w+)\s+ON executions_visibility\s+(USING GIN\s+)?\(namespace_id,\s*(\w+)`)

// leanVisibility leaves the visibility database with the indexes that are used:
// kept, and those of the columns in fields. It creates again an index that it dropped
// earlier and that is used now.
func leanVisibility(ctx context.Context, s *store, fields []string) error {
	db, err := s.openVisibility()
	if err != nil {
		return err
	}
	defer db.Close()

	stmts, err := indexChanges(s.visibilitySchema, fields)
	if err != nil {
		return err
	}
	return inTx(ctx, db, append(stmts, s.tuneVisibility...))
}

// division is the attribute that only recurring schedules have.
const division = "TemporalNamespaceDivision"

// byStart creates the index by which rows with one value are read in the order of their
// start, one window of time after another.
func byStart(name, column string) string {
	return "CREATE INDEX IF NOT EXISTS postdate_" + name + "_start ON executions_visibility (namespace_id, " +
		column + ", start_time) WHERE " + column + " IS NOT NULL"
}

func indexChanges(schema string, fields []string) ([]string, error) {
	all, err := statements(schema)
	if err != nil {
		return nil, err
	}
	// Not all rows have these columns; their index holds those that do. Only
	// recurring schedules have a division, and only they are searched by it.
	sparse := append([]string{division}, fields...)
	var changes []string
	for _, stmt := range all {
		m := indexStatement.FindStringSubmatch(stmt)
		if m == nil {
			continue
		}
		name, gin, column := m[1], m[2], m[3]
		isField := slices.ContainsFunc(sparse, func(f string) bool { return strings.EqualFold(f, column) })
		switch {
		case slices.Contains(kept, name), isField && gin != "":
			changes = append(changes, strings.Replace(stmt, "CREATE INDEX", "CREATE INDEX IF NOT EXISTS", 1))
			continue
		case isField:
			ours := strings.Replace(stmt, "CREATE INDEX "+name, "CREATE INDEX IF NOT EXISTS postdate_"+name, 1)
			changes = append(changes, strings.TrimSuffix(ours, ";")+" WHERE "+column+" IS NOT NULL")
			if column != division {
				changes = append(changes, byStart(name, column))
			}
		}
		changes = append(changes, "DROP INDEX IF EXISTS "+name)
	}
	return changes, nil
}
