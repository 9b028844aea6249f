package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/postdate/postdate/receiver"
)

// ServiceB does the business when its moment has come. The scheduler knows nothing about
// payments: what a message means is decided here, by what the database says now.
type ServiceB struct {
	DB     Database
	Outbox *Outbox
	// RemindEvery is how long after a reminder the next one follows.
	RemindEvery time.Duration
}

// Receiver receives service B's messages: as an [http.Handler] by webhook, or from a stream.
// What the function writes is committed with the mark that the message is handled.
func (b *ServiceB) Receiver(ctx context.Context, config receiver.Config) (*receiver.Receiver, error) {
	marks := receiver.SQL(b.DB.DB, b.DB.Dialect, "service-b")
	if err := marks.CreateTable(ctx); err != nil {
		return nil, fmt.Errorf("service B: %w", err)
	}
	r, err := receiver.New(config, marks, b.handle)
	if err != nil {
		return nil, fmt.Errorf("service B: %w", err)
	}
	return r, nil
}

// handle handles one message, once.
func (b *ServiceB) handle(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
	var about About
	if err := json.Unmarshal(m.Data, &about); err != nil || about.PaymentRequest == "" {
		return receiver.Abort("the data name no payment_request")
	}
	r, err := b.DB.find(ctx, tx, about.PaymentRequest)
	if errors.Is(err, errNoRequest) {
		return receiver.Abort(err.Error())
	}
	if err != nil {
		return err
	}
	// Outside the transaction nothing is done: what is to be asked of Postdate goes to the
	// outbox, which is emptied soon after the commit.
	defer b.Outbox.Empty()
	switch m.Type {
	case TypeDue:
		return b.expire(ctx, tx, r)
	case TypeReminder:
		return b.remind(ctx, tx, r)
	default:
		return receiver.Abort("unknown type " + m.Type)
	}
}

// expire makes a request expired, unless it was paid, and has everybody told.
func (b *ServiceB) expire(ctx context.Context, tx *sql.Tx, r Request) error {
	if r.State == Pending && time.Now().Before(r.ExpiresAt) {
		return receiver.Reschedule(r.ExpiresAt) // it has been given more time since
	}
	won, err := b.DB.settle(ctx, tx, r.ID, Expired)
	if err != nil || !won {
		return err // paid before, or expired: there is nothing to do
	}
	return b.Outbox.put(ctx, tx, r.ID, callPublish, event(TypeExpired, r.ID))
}

// remind reminds of a request, and asks for the same message again: the cycle is service
// B's own, and ends when it says so.
func (b *ServiceB) remind(ctx context.Context, tx *sql.Tx, r Request) error {
	now := time.Now()
	if r.State != Pending || !now.Before(r.ExpiresAt) {
		return nil
	}
	if _, err := tx.ExecContext(ctx, b.DB.say(`UPDATE payment_requests SET reminders = reminders + 1 WHERE id = $1`), r.ID); err != nil {
		return fmt.Errorf("count the reminder: %w", err)
	}
	reminded := event(TypeReminded, r.ID)
	reminded.ID += fmt.Sprintf("-%d", r.Reminders+1)
	if err := b.Outbox.put(ctx, tx, r.ID, callPublish, reminded); err != nil {
		return err
	}
	if next := now.Add(b.RemindEvery); next.Before(r.ExpiresAt) {
		return receiver.Reschedule(next)
	}
	return nil
}
