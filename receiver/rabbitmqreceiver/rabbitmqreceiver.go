// Package rabbitmqreceiver hands the deliveries of a RabbitMQ queue to a
// [receiver.Receiver], by amqp091-go:
//
//	err := rabbitmqreceiver.Run(ctx, expire, rabbitmqreceiver.Config{
//		Dial:  func() (*amqp.Connection, error) { return amqp.Dial(url) },
//		Queue: "billing",
//	}) // until ctx is done
//
// A delivery is acknowledged only after the mark and the work on it are committed: one that
// comes again is a duplicate. When ctx is done, the functions that run are finished first.
// Connections that are lost are made again.
//
// RabbitMQ delays nothing. What is to be handled again later is held here, unacknowledged:
//
//	Reschedule(t)    [Config.Reschedule] gets the message; without it, held until t
//	RetryAfter(d)    held for d, and handled again
//	Abort(reason)    rejected: to the queue's dead-letter exchange. RabbitMQ drops it where
//	                 there is none, and passes no reason: the receiver's log has it
//	another error    held for a second, and for longer each time, up to a minute
//
// What is held takes a place of the prefetch count, so as many as that can be held before
// nothing else arrives. After a quarter of an hour, half of RabbitMQ's consumer_timeout, what
// is still held goes back to the queue, and comes again. A quorum queue counts that, and drops
// what came back more often than its delivery limit (20 by default since RabbitMQ 4.0): set
// x-delivery-limit to -1. Prefetch 1 and a single active consumer keep the queue's order.
package rabbitmqreceiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postdate/postdate/receiver"
)

// DefaultPrefetch is how many deliveries are handled, or held, side by side where [Config]
// does not say.
const DefaultPrefetch = 20

const (
	shortestPause = time.Second
	longestPause  = time.Minute
	// maxHold is how long a delivery is held: half of what RabbitMQ allows by default.
	maxHold = 15 * time.Minute
)

// Config says what is consumed.
type Config struct {
	// Dial makes a connection.
	Dial func() (*amqp.Connection, error)
	// Queue is the queue. It is not created.
	Queue string
	// Prefetch is how many deliveries are handled or held side by side. Default
	// [DefaultPrefetch].
	Prefetch int
	// Reschedule is called with a message that the function needs again at a time, in
	// place of holding it: it makes a schedule in Postdate, say, whose id follows from the
	// message's id and to, for it may be called again with both. The delivery is
	// acknowledged when it returns nil.
	Reschedule func(ctx context.Context, m receiver.Message, to time.Time) error
	// Logger gets a line where the broker does not answer as it should. Default
	// [slog.Default].
	Logger *slog.Logger
}

// Run handles the deliveries of a queue until ctx is done, and then finishes what is under
// way. It returns an error where the first connection cannot be made, or has no such queue;
// later ones are tried again for ever.
func Run(ctx context.Context, r *receiver.Receiver, config Config) error {
	if r == nil || config.Dial == nil || config.Queue == "" || config.Prefetch < 0 {
		return errors.New("rabbitmqreceiver: a receiver, Dial and a queue are needed, and no negative prefetch")
	}
	config.Logger, config.Prefetch = cmp.Or(config.Logger, slog.Default()), cmp.Or(config.Prefetch, DefaultPrefetch)
	c := consumer{config: config, receiver: r}
	for tries := 0; ctx.Err() == nil; tries++ {
		consumed, err := c.consume(ctx)
		switch {
		case ctx.Err() != nil:
			continue // it is over, whatever became of the connection
		case consumed:
			tries = 1
		case tries == 0:
			return fmt.Errorf("rabbitmqreceiver: %w", err)
		}
		config.Logger.WarnContext(ctx, "the connection to the broker was lost", "queue", config.Queue, "error", err)
		sleep(ctx, backoff(tries-1))
	}
	return nil
}

type consumer struct {
	config   Config
	receiver *receiver.Receiver
}

// consume consumes by one connection until that is lost or ctx is done, and waits for what
// is under way. It reports whether deliveries could come.
func (c *consumer) consume(ctx context.Context) (consumed bool, err error) {
	conn, err := c.config.Dial()
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		return false, fmt.Errorf("open a channel: %w", err)
	}
	if err := ch.Qos(c.config.Prefetch, 0, false); err != nil {
		return false, fmt.Errorf("set the prefetch count: %w", err)
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	const tag = "postdate-receiver"
	deliveries, err := ch.Consume(c.config.Queue, tag, false, false, false, false, nil)
	if err != nil {
		return false, fmt.Errorf("consume the queue %q: %w", c.config.Queue, err)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, func() { _ = ch.Cancel(tag, false) }) // deliveries is closed then
	var handling sync.WaitGroup
	for d := range deliveries {
		handling.Go(func() { c.handle(running, d) })
	}
	stop() // nobody acknowledges by this connection any more, or ctx is done
	handling.Wait()
	select {
	case failure := <-closed: // nil where we have closed it
		if failure != nil {
			return true, failure
		}
	default: // the channel is still open: the queue was deleted, or moved to another node
		if ctx.Err() == nil {
			return true, errors.New("the broker has ended the consumer: is the queue still there?")
		}
	}
	return true, nil
}

// handle handles a delivery until it is acknowledged, rejected, or given back.
func (c *consumer) handle(ctx context.Context, d amqp.Delivery) {
	m := Message(d)
	if c.config.Reschedule == nil {
		m.SentAt = time.Time{} // it is handled again at the time that it asked for
	}
	until := time.Now().Add(maxHold)
	for failures := 0; ctx.Err() == nil; failures++ {
		// What has begun is finished, and bounded by the receiver's own timeout.
		working := context.WithoutCancel(ctx)
		result := c.receiver.Handle(working, m)
		pause := cmp.Or(result.RetryAfter, backoff(failures))
		switch result.Outcome {
		case receiver.Accepted:
			c.log(ctx, m, d.Ack(false))
			return
		case receiver.Aborted:
			c.log(ctx, m, d.Reject(false))
			return
		case receiver.Rescheduled:
			pause = max(time.Until(result.RescheduleTo), time.Millisecond)
			if c.config.Reschedule == nil {
				break
			}
			err := c.config.Reschedule(working, m, result.RescheduleTo)
			if err == nil {
				c.log(ctx, m, d.Ack(false))
				return
			}
			c.config.Logger.WarnContext(ctx, "failed to reschedule a message", "message", m.ID, "error", err)
			pause = backoff(failures)
		case receiver.Failed: // the receiver has logged why
		}
		left := time.Until(until)
		sleep(ctx, min(pause, left))
		if pause >= left {
			break
		}
	}
	c.log(ctx, m, d.Nack(false, true))
}

// log says that an acknowledgement did not reach the broker. The delivery comes again: a
// duplicate where it was handled.
func (c *consumer) log(ctx context.Context, m receiver.Message, err error) {
	if err != nil {
		c.config.Logger.WarnContext(ctx, "failed to acknowledge a message", "message", m.ID, "error", err)
	}
}

func backoff(failures int) time.Duration {
	return min(shortestPause<<min(failures, 6), longestPause)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Message is a delivery as a message, in any of the forms that [receiver.ParseMessage]
// reads. Its id is the property message_id where no header has one. It was sent when the
// property timestamp says, or else when what it tells of happened.
func Message(d amqp.Delivery) receiver.Message {
	header := make(map[string][]string, len(d.Headers)+1)
	for name, value := range d.Headers {
		header[name] = []string{text(value)}
	}
	if d.ContentType != "" {
		header["content-type"] = []string{d.ContentType}
	}
	m := receiver.ParseMessage(header, d.Body)
	m.ID, m.SentAt = cmp.Or(m.ID, d.MessageId), d.Timestamp
	if m.SentAt.IsZero() && m.Timestamp.Before(time.Now()) {
		m.SentAt = m.Timestamp
	}
	return m
}

// text is a header's value as HTTP has it.
func text(value any) string {
	switch value := value.(type) {
	case []byte:
		return string(value)
	case time.Time:
		return value.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(value)
}
