package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/postdate/postdate/client"
)

// Outbox makes the two writes of a service, to its database and to Postdate, safe: what is
// to be asked of Postdate is written in the same transaction as what it is about, and asked
// afterwards, again and again until it is answered. All calls have ids, so asking twice is
// asking once.
type Outbox struct {
	service string
	db      Database
	api     client.ClientWithResponsesInterface
	filled  chan struct{}
	log     *slog.Logger
}

// NewOutbox makes the outbox of a service.
func NewOutbox(service string, db Database, api client.ClientWithResponsesInterface, log *slog.Logger) *Outbox {
	return &Outbox{service: service, db: db, api: api, filled: make(chan struct{}, 1), log: log}
}

// The calls of Postdate that an outbox makes.
const (
	callSchedule = "schedule"
	callCancel   = "cancel"
	callPublish  = "publish"
)

// entry is a call that is not made yet.
type entry struct {
	number    int64
	requestID string
	call      string
	body      []byte
}

// put writes a call into the outbox, in the transaction of what it is about.
func (o *Outbox) put(ctx context.Context, tx *sql.Tx, requestID, call string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write a call: %w", err)
	}
	_, err = tx.ExecContext(ctx, o.db.say(`INSERT INTO outbox (service, request_id, call, body) VALUES ($1, $2, $3, $4)`),
		o.service, requestID, call, string(text))
	if err != nil {
		return fmt.Errorf("put into the outbox: %w", err)
	}
	return nil
}

// Empty has the outbox emptied soon: call it after the commit.
func (o *Outbox) Empty() {
	select {
	case o.filled <- struct{}{}:
	default: // it is to be emptied anyway
	}
}

// Run empties the outbox until ctx is done: when it starts, for what a crash has left there,
// whenever it is filled, again where a call failed, and every half second, for what is
// committed only after Empty was called, as by the function of a receiver.
func (o *Outbox) Run(ctx context.Context) {
	const shortest, longest = 100 * time.Millisecond, 5 * time.Second
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for pause := shortest; ctx.Err() == nil; {
		more, err := o.flush(ctx)
		switch {
		case err != nil:
			o.log.WarnContext(ctx, "failed to empty the outbox", "service", o.service, "again_in", pause, "error", err)
			sleep(ctx, pause)
			pause = min(2*pause, longest)
		case more:
			pause = shortest
		default:
			select {
			case <-o.filled:
			case <-again.C:
			case <-ctx.Done():
			}
		}
	}
}

// flush makes the oldest calls, those about one request in their order, and reports whether
// there may be more.
func (o *Outbox) flush(ctx context.Context) (more bool, err error) {
	const many, atOnce = 200, 16
	entries, err := o.oldest(ctx, many)
	if err != nil {
		return false, err
	}
	byRequest := map[string][]entry{}
	for _, e := range entries {
		byRequest[e.requestID] = append(byRequest[e.requestID], e)
	}
	var calling sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, atOnce)
	for _, calls := range byRequest {
		slots <- struct{}{}
		calling.Go(func() {
			defer func() { <-slots }()
			for _, e := range calls {
				if failure := o.make(ctx, e); failure != nil {
					mu.Lock()
					err = failure
					mu.Unlock()
					return
				}
			}
		})
	}
	calling.Wait()
	return len(entries) > 0, err
}

func (o *Outbox) oldest(ctx context.Context, many int) (entries []entry, err error) {
	rows, err := o.db.QueryContext(ctx, o.db.say(`SELECT number, request_id, call, body FROM outbox WHERE service = $1 ORDER BY number LIMIT $2`), o.service, many)
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e entry
		var body string
		if err := rows.Scan(&e.number, &e.requestID, &e.call, &body); err != nil {
			return nil, fmt.Errorf("read the outbox: %w", err)
		}
		e.body = []byte(body)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// make makes a call and takes it out of the outbox.
func (o *Outbox) make(ctx context.Context, e entry) error {
	if err := o.ask(ctx, e); err != nil {
		return fmt.Errorf("%s for %s: %w", e.call, e.requestID, err)
	}
	if _, err := o.db.ExecContext(ctx, o.db.say(`DELETE FROM outbox WHERE number = $1`), e.number); err != nil {
		return fmt.Errorf("take out of the outbox: %w", err)
	}
	return nil
}

func (o *Outbox) ask(ctx context.Context, e entry) (err error) {
	switch e.call {
	case callSchedule:
		_, err = o.api.CreateScheduleWithBodyWithResponse(ctx, nil, "application/json", reader(e.body))
	case callPublish:
		_, err = o.api.PublishEventWithBodyWithResponse(ctx, nil, "application/json", reader(e.body))
	case callCancel:
		var id string
		if err := json.Unmarshal(e.body, &id); err != nil {
			return fmt.Errorf("read the call: %w", err)
		}
		_, err = o.api.CancelScheduleWithResponse(ctx, id)
		// It was too late, or cancelled before: the message finds the request paid.
		if problem, ok := errors.AsType[*client.Problem](err); ok &&
			(problem.Status == http.StatusConflict || problem.Status == http.StatusNotFound) {
			return nil
		}
	}
	return err
}
