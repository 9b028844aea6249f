// Package rabbitmq publishes to exchanges and queues of RabbitMQ. What it publishes is
// stored when the broker has confirmed it and has not returned it before, and not sooner.
package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postdate/postdate/internal/streams"
)

// Broker publishes to one exchange, with one routing key.
type Broker struct {
	config     streams.Config
	connection connection
}

// Open makes the broker of a stream. It connects when it is first needed.
func Open(c streams.Config) (streams.Broker, error) {
	return &Broker{config: c, connection: connection{config: c}}, nil
}

// Close closes the connection.
func (b *Broker) Close() { b.connection.close() }

// Publish publishes r, and waits for the broker's confirmation.
func (b *Broker) Publish(ctx context.Context, r streams.Record) (string, error) {
	s, err := b.connection.session(ctx)
	if err != nil {
		return "", err
	}
	if reason := s.blocked.Load(); reason != nil {
		return "", &streams.PublishError{Reason: "the broker takes nothing now: " + *reason, Busy: true}
	}
	ch, err := s.acquire(ctx)
	if err != nil {
		return "", b.explain(err)
	}
	confirmed, err := b.publish(ctx, ch, r)
	if err != nil {
		s.drop(ch)
		return "", b.explain(err)
	}
	select {
	case returned := <-ch.returned: // it came before the confirmation
		s.release(ch)
		return "", &streams.PublishError{Reason: fmt.Sprintf("no queue gets it: %s (%d)", strings.ToLower(returned.ReplyText), returned.ReplyCode)}
	default:
	}
	if !confirmed {
		s.release(ch)
		return "", &streams.PublishError{Reason: "the broker did not take it (nack): a queue is full, or cannot store it", Busy: true}
	}
	s.release(ch)
	return "confirmed", nil
}

// publish publishes r on ch, and reports whether it was confirmed. An error says that
// nothing is known, or that the broker has closed the channel for it.
func (b *Broker) publish(ctx context.Context, ch *channel, r streams.Record) (confirmed bool, err error) {
	type result struct {
		confirmation *amqp.DeferredConfirmation
		err          error
	}
	sent := make(chan result, 1)
	go func() { // a write may block, whatever becomes of ctx
		confirmation, err := ch.PublishWithDeferredConfirm(b.config.Exchange, b.config.RoutingKey, true, false, publishing(r))
		sent <- result{confirmation, err}
	}()
	var confirmation *amqp.DeferredConfirmation
	select {
	case r := <-sent:
		if r.err != nil {
			return false, r.err
		}
		confirmation = r.confirmation
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case <-confirmation.Done():
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if !confirmation.Acked() {
		// It is not acknowledged either where the channel or the connection was closed.
		select {
		case failure := <-ch.closed:
			if failure == nil {
				return false, amqp.ErrClosed
			}
			return false, failure
		default:
			if ch.IsClosed() {
				return false, amqp.ErrClosed
			}
		}
	}
	return confirmation.Acked(), nil
}

// publishing is r as AMQP has it: attributes as headers that begin with cloudEvents_.
func publishing(r streams.Record) amqp.Publishing {
	p := amqp.Publishing{
		DeliveryMode: amqp.Persistent, MessageId: r.MessageID, ContentType: r.ContentType, Body: r.Body, Headers: amqp.Table{},
	}
	for _, a := range r.Attributes {
		p.Headers["cloudEvents_"+a.Name] = a.Value
		if a.Literal {
			p.Headers["cloudEvents_"+a.Name] = literal(a.Value)
		}
	}
	for _, h := range r.Headers {
		p.Headers[h.Name] = h.Value
	}
	if !r.ExpiresAt.IsZero() {
		p.Expiration = strconv.FormatInt(max(1, time.Until(r.ExpiresAt).Milliseconds()), 10)
	}
	return p
}

// literal is a boolean or a whole number of 32 bits, as AMQP has it.
func literal(text string) any {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return int32(n)
	}
	return text == "true"
}

// explain says in words why nothing was stored, or why that is not known.
func (b *Broker) explain(err error) error {
	failure, ok := errors.AsType[*amqp.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, amqp.ErrClosed), !ok, !failure.Server, failure.Code == amqp.ConnectionForced:
		return &streams.PublishError{Reason: "the connection to the broker was lost: whether it has stored the message is not known"}
	case failure.Code == amqp.NotFound:
		return &streams.PublishError{Reason: fmt.Sprintf("the broker has no exchange %q", b.config.Exchange)}
	case failure.Code == amqp.AccessRefused:
		return &streams.PublishError{Reason: fmt.Sprintf("the broker does not let us publish to the exchange %q", b.config.Exchange)}
	case failure.Code == amqp.PreconditionFailed && strings.Contains(failure.Reason, "max size"):
		return &streams.PublishError{Reason: "too large: " + strings.ToLower(failure.Reason), Never: true}
	}
	return &streams.PublishError{Reason: "the broker refuses it: " + strings.ToLower(failure.Reason)}
}

// Probe asks for the exchange, or for the queue where there is none, and creates nothing.
func (b *Broker) Probe(ctx context.Context) error {
	s, err := b.connection.session(ctx)
	if err != nil {
		return err
	}
	if reason := s.blocked.Load(); reason != nil {
		return errors.New("the broker takes nothing now: " + *reason)
	}
	ch, err := s.open(ctx)
	if err != nil {
		return b.explain(err)
	}
	defer func() { go func() { _ = ch.Close() }() }()
	declared := make(chan error, 1)
	go func() {
		if b.config.Exchange == "" {
			_, err := ch.QueueDeclarePassive(b.config.RoutingKey, false, false, false, false, nil)
			declared <- err
			return
		}
		declared <- ch.ExchangeDeclarePassive(b.config.Exchange, amqp.ExchangeDirect, false, false, false, false, nil)
	}()
	select {
	case err = <-declared:
	case <-ctx.Done():
		return errors.New("the broker does not answer")
	}
	if failure, ok := errors.AsType[*amqp.Error](err); ok && failure.Code == amqp.NotFound && b.config.Exchange == "" {
		return fmt.Errorf("the broker has no queue %q", b.config.RoutingKey)
	}
	if err != nil {
		return b.explain(err)
	}
	return nil
}
