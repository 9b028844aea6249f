// Package outbox publishes a service's events safely without a broker: each event is written
// in the transaction of the change that it is about, and a relay publishes what was committed.
//
// Whatever dies, and whenever, each committed event is published once, and none that was
// rolled back. Events are put into batches durably before they are published: a batch that is
// published again is the same, under the same Idempotency-Key, and Postdate makes nothing
// twice of it.
//
// The statements are those of SQLite. For PostgreSQL and MySQL the types of the columns and
// the placeholders differ, and nothing else does.
package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/postdate/postdate/client"
)

// Schema creates the table. Rows that were published are deleted; those that Postdate has
// refused stay, with the reason.
const Schema = `CREATE TABLE IF NOT EXISTS outbox (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	type    TEXT NOT NULL,
	entity  TEXT NOT NULL,
	data    TEXT NOT NULL,
	batch   INTEGER,
	refused TEXT
)`

// MaxBatch is how many events Postdate takes in one request.
const MaxBatch = 100

// Event is what has happened.
type Event struct {
	Type, Entity string
	Data         json.RawMessage
}

// Add adds an event to the transaction of the change that it is about.
func Add(ctx context.Context, tx *sql.Tx, e Event) error {
	if e.Type == "" || !json.Valid(e.Data) {
		return errors.New("outbox: an event has a type, and data that are JSON")
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO outbox (type, entity, data) VALUES (?, ?, ?)`, e.Type, e.Entity, string(e.Data))
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// Relay publishes what is in the outbox. One runs at a time for a database: more would be
// safe, and publish the same batches.
type Relay struct {
	DB *sql.DB
	// Postdate is made by client.New.
	Postdate client.ClientWithResponsesInterface
	// Name is a part of the keys: two databases have two names.
	Name string
}

// Run publishes until ctx is done, and looks for new events at each interval. What fails is
// reported, and tried again.
func (r *Relay) Run(ctx context.Context, interval time.Duration, report func(error)) {
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		for {
			published, err := r.Publish(ctx)
			if err != nil && ctx.Err() == nil {
				report(err)
			}
			if err != nil || published == 0 {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// Publish publishes one batch, and returns how many events it has: none where nothing waits.
func (r *Relay) Publish(ctx context.Context) (int, error) {
	batch, err := r.nextBatch(ctx)
	if err != nil || batch == 0 {
		return 0, err
	}
	ids, events, err := r.read(ctx, batch)
	if err != nil {
		return 0, err
	}
	key := fmt.Sprintf("outbox-%s-%d", r.Name, batch)
	answer, err := r.Postdate.PublishEventsWithResponse(ctx,
		&client.PublishEventsParams{IdempotencyKey: &key}, client.EventBatch{Events: events})
	if err != nil {
		return 0, fmt.Errorf("outbox: publish batch %d: %w", batch, err) // again, under the same key
	}
	return len(ids), r.settle(ctx, ids, answer.JSON202.Data)
}

// nextBatch is the oldest batch that was not published yet. Where there is none it makes one,
// and keeps which events it has: they must be the same whenever it is published.
func (r *Relay) nextBatch(ctx context.Context) (batch int64, err error) {
	tx, err := r.DB.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	const oldest = `SELECT COALESCE(MIN(batch), 0) FROM outbox WHERE batch IS NOT NULL AND refused IS NULL`
	if err := tx.QueryRowContext(ctx, oldest).Scan(&batch); err != nil {
		return 0, fmt.Errorf("outbox: find a batch: %w", err)
	}
	if batch > 0 {
		return batch, nil
	}
	// A batch is called after its first event, whose id no other event ever has.
	_, err = tx.ExecContext(ctx, `UPDATE outbox SET batch = (SELECT MIN(id) FROM outbox WHERE batch IS NULL)
		WHERE id IN (SELECT id FROM outbox WHERE batch IS NULL ORDER BY id LIMIT ?)`, MaxBatch)
	if err == nil {
		err = tx.QueryRowContext(ctx, oldest).Scan(&batch)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return 0, fmt.Errorf("outbox: make a batch: %w", err)
	}
	return batch, nil
}

// read reads the events of a batch, in their order.
func (r *Relay) read(ctx context.Context, batch int64) (ids []int64, events []client.Event, err error) {
	rows, err := r.DB.QueryContext(ctx, `SELECT id, type, entity, data FROM outbox WHERE batch = ? ORDER BY id`, batch)
	if err != nil {
		return nil, nil, fmt.Errorf("outbox: read batch %d: %w", batch, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var event client.Event
		var data string
		if err := rows.Scan(&id, &event.Type, &event.Entity, &data); err != nil {
			return nil, nil, fmt.Errorf("outbox: read batch %d: %w", batch, err)
		}
		event.Data = client.Data(data)
		ids, events = append(ids, id), append(events, event)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("outbox: read batch %d: %w", batch, err)
	}
	return ids, events, nil
}

// settle deletes what was published, and keeps what was refused. Where it fails the batch is
// published again, and Postdate answers as it did the first time.
func (r *Relay) settle(ctx context.Context, ids []int64, results []client.EventResult) error {
	tx, err := r.DB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	for i, id := range ids {
		if refusal := results[i].Error; refusal == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM outbox WHERE id = ?`, id)
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE outbox SET refused = ? WHERE id = ?`, refusal.Detail, id)
		}
		if err != nil {
			return fmt.Errorf("outbox: settle event %d: %w", id, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("outbox: settle a batch: %w", err)
	}
	return nil
}
