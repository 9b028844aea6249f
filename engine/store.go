package engine

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/schema"
)

// store is where the engine keeps its data: two databases, since what is
// queried (visibility) and what is executed (main) are written at different
// times and would wait for each other.
type store struct {
	main, visibility *config.SQL
	// shards is fixed for the life of the data.
	shards int32
	// shardIO is how many writes of one shard are under way at once.
	shardIO int
	// timers is how many executions are woken at once.
	timers int
	// visibilitySchema is the file in Temporal's schema folder.
	visibilitySchema string
	// tuneVisibility runs once the visibility indexes stand.
	tuneVisibility []string
	// openVisibility connects to the visibility database beside the server.
	openVisibility func() (*sql.DB, error)
	close          func() error
}

// statements are those of a file in Temporal's schema folder.
func statements(file string) ([]string, error) {
	f, err := schema.Assets().Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return persistence.LoadAndSplitQueryFromReaders([]io.Reader{f})
}

// inTx runs the statements in one transaction: both databases' schemas change
// wholly or not at all.
func inTx(ctx context.Context, db *sql.DB, statements []string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", firstLine(s), err)
		}
	}
	return tx.Commit()
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// oneLine is an error's text without its line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
