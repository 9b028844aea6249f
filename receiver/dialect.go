package receiver

import (
	"fmt"
	"strings"
)

// Dialect is the SQL that a database speaks.
type Dialect int

// The dialects that [SQL] knows.
const (
	// PostgreSQL, 9.5 or newer, by any driver.
	PostgreSQL Dialect = iota + 1
	// SQLite, 3.24 or newer, by any driver.
	SQLite
	// MySQL and MariaDB, by any driver.
	MySQL
)

// statements is what a store says to its database. Each has the consumer and the
// message's id among its arguments, as the comments list them.
type statements struct {
	schema     []string
	insert     string // consumer, id, now: no row is affected where the mark is there
	find       string // consumer, id: when the message is needed again
	take       string // now, consumer, id, seen: no row is affected where another took it
	reschedule string // to, consumer, id
	confirm    string // consumer, id; "" if the commit of a transaction that is gone fails by itself
	prune      string // consumer, from, limit
}

// Schema is the SQL that creates the table of marks, receiver_marks, and its index,
// for databases that are migrated by scripts. [SQLStore.CreateTable] executes it.
func (d Dialect) Schema() string {
	return strings.Join(d.statements().schema, ";\n\n") + ";\n"
}

func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	case MySQL:
		return "MySQL"
	default:
		return fmt.Sprintf("Dialect(%d)", int(d))
	}
}

func (d Dialect) statements() statements {
	switch d {
	case PostgreSQL:
		return postgreSQL
	case SQLite:
		return sqlite
	case MySQL:
		return mySQL
	default:
		return statements{}
	}
}

// An id is compared byte for byte: a collation that takes "a" for "A" would take
// one message for another.
var postgreSQL = statements{
	schema: []string{
		`CREATE TABLE IF NOT EXISTS receiver_marks (
	consumer      TEXT COLLATE "C" NOT NULL,
	message_id    TEXT COLLATE "C" NOT NULL,
	marked_at     BIGINT NOT NULL,           -- seconds since 1970
	reschedule_to BIGINT NOT NULL DEFAULT 0, -- seconds since 1970; 0: never
	PRIMARY KEY (consumer, message_id)
)`,
		`CREATE INDEX IF NOT EXISTS receiver_marks_marked_at ON receiver_marks (consumer, marked_at)`,
	},
	insert: `INSERT INTO receiver_marks (consumer, message_id, marked_at) VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`,
	find: `SELECT reschedule_to FROM receiver_marks WHERE consumer = $1 AND message_id = $2`,
	take: `UPDATE receiver_marks SET marked_at = $1, reschedule_to = 0
		WHERE consumer = $2 AND message_id = $3 AND reschedule_to = $4`,
	reschedule: `UPDATE receiver_marks SET reschedule_to = $1 WHERE consumer = $2 AND message_id = $3`,
	prune: `DELETE FROM receiver_marks WHERE (consumer, message_id) IN (
		SELECT consumer, message_id FROM receiver_marks
		WHERE consumer = $1 AND marked_at < $2 AND reschedule_to < $2 LIMIT $3)`,
}

var sqlite = statements{
	schema: []string{
		`CREATE TABLE IF NOT EXISTS receiver_marks (
	consumer      TEXT NOT NULL,
	message_id    TEXT NOT NULL,
	marked_at     INTEGER NOT NULL,           -- seconds since 1970
	reschedule_to INTEGER NOT NULL DEFAULT 0, -- seconds since 1970; 0: never
	PRIMARY KEY (consumer, message_id)
) WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS receiver_marks_marked_at ON receiver_marks (consumer, marked_at)`,
	},
	insert: `INSERT INTO receiver_marks (consumer, message_id, marked_at) VALUES (?1, ?2, ?3)
		ON CONFLICT DO NOTHING`,
	find: `SELECT reschedule_to FROM receiver_marks WHERE consumer = ?1 AND message_id = ?2`,
	take: `UPDATE receiver_marks SET marked_at = ?1, reschedule_to = 0
		WHERE consumer = ?2 AND message_id = ?3 AND reschedule_to = ?4`,
	reschedule: `UPDATE receiver_marks SET reschedule_to = ?1 WHERE consumer = ?2 AND message_id = ?3`,
	prune: `DELETE FROM receiver_marks WHERE (consumer, message_id) IN (
		SELECT consumer, message_id FROM receiver_marks
		WHERE consumer = ?1 AND marked_at < ?2 AND reschedule_to < ?2 LIMIT ?3)`,
}

// INSERT IGNORE also cuts what is too long for its column, hence the check of an
// id's length before. ON DUPLICATE KEY UPDATE would not do: with clientFoundRows
// in the data source name it counts a row that it finds like one that it inserts.
var mySQL = statements{
	schema: []string{
		`CREATE TABLE IF NOT EXISTS receiver_marks (
	consumer      VARBINARY(255) NOT NULL,
	message_id    VARBINARY(255) NOT NULL,
	marked_at     BIGINT NOT NULL COMMENT 'seconds since 1970',
	reschedule_to BIGINT NOT NULL DEFAULT 0 COMMENT 'seconds since 1970; 0: never',
	PRIMARY KEY (consumer, message_id),
	KEY receiver_marks_marked_at (consumer, marked_at)
) ENGINE = InnoDB`,
	},
	insert: `INSERT IGNORE INTO receiver_marks (consumer, message_id, marked_at) VALUES (?, ?, ?)`,
	find:   `SELECT reschedule_to FROM receiver_marks WHERE consumer = ? AND message_id = ?`,
	take: `UPDATE receiver_marks SET marked_at = ?, reschedule_to = 0
		WHERE consumer = ? AND message_id = ? AND reschedule_to = ?`,
	reschedule: `UPDATE receiver_marks SET reschedule_to = ? WHERE consumer = ? AND message_id = ?`,
	confirm:    `SELECT 1 FROM receiver_marks WHERE consumer = ? AND message_id = ?`,
	prune:      `DELETE FROM receiver_marks WHERE consumer = ? AND marked_at < ? AND reschedule_to < ? LIMIT ?`,
}
