package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/signature"
)

// Subscriber is an application that wants to know what becomes of payment requests, such as
// John's and Doe's. It has a database of its own.
type Subscriber struct {
	Name string
	DB   Database
}

const subscriberSchema = `
CREATE TABLE IF NOT EXISTS notifications (
	subscriber TEXT NOT NULL,
	request_id TEXT NOT NULL,
	type       TEXT NOT NULL,
	message_id TEXT NOT NULL,
	at         BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS secrets (
	subscriber TEXT PRIMARY KEY,
	secret     TEXT NOT NULL
)`

// CreateNotifications creates what subscribers keep.
func CreateNotifications(ctx context.Context, db Database) error {
	return db.create(ctx, subscriberSchema)
}

// Receiver receives the subscriber's messages.
func (s Subscriber) Receiver(ctx context.Context, config receiver.Config) (*receiver.Receiver, error) {
	marks := receiver.SQL(s.DB.DB, s.DB.Dialect, s.Name)
	if err := errors.Join(marks.CreateTable(ctx), CreateNotifications(ctx, s.DB)); err != nil {
		return nil, fmt.Errorf("subscriber %s: %w", s.Name, err)
	}
	r, err := receiver.New(config, marks, s.handle)
	if err != nil {
		return nil, fmt.Errorf("subscriber %s: %w", s.Name, err)
	}
	return r, nil
}

// handle notes a notification.
func (s Subscriber) handle(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
	var about About
	if err := json.Unmarshal(m.Data, &about); err != nil || about.PaymentRequest == "" {
		return receiver.Abort("the data name no payment_request")
	}
	_, err := tx.ExecContext(ctx, s.DB.say(`INSERT INTO notifications (subscriber, request_id, type, message_id, at) VALUES ($1, $2, $3, $4, $5)`),
		s.Name, about.PaymentRequest, m.Type, m.ID, time.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("note the notification: %w", err)
	}
	return nil
}

// Secret is what the subscriber's messages are signed with: made once, and kept.
func (s Subscriber) Secret(ctx context.Context) (signature.Secret, error) {
	if err := CreateNotifications(ctx, s.DB); err != nil {
		return signature.Secret{}, err
	}
	_, err := s.DB.ExecContext(ctx, s.DB.say(`INSERT INTO secrets (subscriber, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING`),
		s.Name, signature.NewSecret().Reveal())
	if err != nil {
		return signature.Secret{}, fmt.Errorf("keep a secret: %w", err)
	}
	var text string
	err = s.DB.QueryRowContext(ctx, s.DB.say(`SELECT secret FROM secrets WHERE subscriber = $1`), s.Name).Scan(&text)
	if err != nil {
		return signature.Secret{}, fmt.Errorf("read the secret: %w", err)
	}
	secret, err := signature.ParseSecret(text)
	if err != nil {
		return signature.Secret{}, fmt.Errorf("read the secret: %w", err)
	}
	return secret, nil
}

// Subscribe registers the subscriber's url with Postdate. It can be repeated.
func (s Subscriber) Subscribe(ctx context.Context, api client.ClientWithResponsesInterface, url string, secret signature.Secret, retry *postdate.Retry) error {
	key := "payments example: " + s.Name + " at " + url
	_, err := api.CreateEndpointWithResponse(ctx, &client.CreateEndpointParams{IdempotencyKey: &key}, client.CreateEndpoint{
		URL: url, Description: s.Name, EventTypes: []string{TypePaid, TypeExpired, TypeReminded},
		Secret: secret.Reveal(), Retry: retry,
	})
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", s.Name, err)
	}
	return nil
}
