package engine

import (
	"context"
	"fmt"
	"maps"
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

// leanVisibility leaves the visibility database with the indexes that are used: kept, those
// of the columns that have aliases, and one of what is counted by. It creates again an index
// that it dropped earlier and that is used now.
func leanVisibility(ctx context.Context, s *store, aliases map[string]string, countBy []string) error {
	db, err := s.openVisibility()
	if err != nil {
		return err
	}
	defer db.Close()

	stmts, err := indexChanges(s.visibilitySchema, slices.Sorted(maps.Keys(aliases)))
	if err != nil {
		return err
	}
	if len(countBy) > 0 {
		index, err := counting(aliases, countBy)
		if err != nil {
			return err
		}
		stmts = append(stmts, index)
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

// counting creates the index by which open executions are counted: by the columns of these
// attributes, of which all that are counted have the first, and of Temporal's own conditions.
// Those on the attributes come first: lists, which have none on all of them, keep to the
// indexes that have their order.
func counting(aliases map[string]string, countBy []string) (string, error) {
	named := make([]string, len(countBy))
	for column, name := range aliases {
		if place := slices.Index(countBy, name); place >= 0 {
			named[place] = column
		}
	}
	if place := slices.Index(named, ""); place >= 0 {
		return "", fmt.Errorf("%s is to be counted by, and is no search attribute", countBy[place])
	}
	return "CREATE INDEX IF NOT EXISTS postdate_count ON executions_visibility (namespace_id, " + strings.Join(named, ", ") +
		", status, workflow_type_name, " + division + ") WHERE " + named[0] + " IS NOT NULL", nil
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
