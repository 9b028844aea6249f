// Package rabbitmq reads queues of RabbitMQ. Messages are acknowledged behind what was
// taken, and never before it.
package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postdate/postdate/internal/consume"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/senders/rabbitmq"
)

const (
	// prefixes are those of the headers of CloudEvents in binary mode: the binding allows
	// both.
	prefix, otherPrefix = "cloudEvents_", "cloudEvents:"
	// maxHeld bounds the messages that were read and not taken yet.
	maxHeld = 256
	// lagInterval is how often the queue is asked how much waits.
	lagInterval = 5 * time.Second
)

// Reader reads one queue.
type Reader struct{ config streams.Config }

// Open makes the reader of a stream.
func Open(c streams.Config) (consume.Reader, error) { return &Reader{c}, nil }

// Read reads the messages that the queue gives to this process.
func (r *Reader) Read(ctx context.Context, c *consume.Consumer) error {
	conn, err := rabbitmq.Dial(r.config)
	if err != nil {
		return errors.New("no connection to the broker: " + r.words(err))
	}
	defer func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) }()
	channel, err := conn.Channel()
	if err != nil {
		return errors.New(r.words(err))
	}
	if err := channel.Qos(maxHeld, 0, false); err != nil {
		return errors.New(r.words(err))
	}
	queue := r.config.Consume.Queue
	arrived, err := channel.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return errors.New(r.words(err))
	}
	lost := channel.NotifyClose(make(chan *amqp.Error, 1))
	// RabbitMQ keeps no places of messages: these hold for as long as the channel does.
	s := &session{Reader: r, consumer: c, channel: channel, partition: queue + "@" + uuid.NewString()}
	defer c.Forget(s.partition)
	defer c.ForgetLag(s.partition)
	c.Reached(ctx)
	reading, stop := context.WithCancelCause(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { s.measure(reading, conn) })
	helpers.Go(func() { stop(r.await(reading, lost)) })
	defer helpers.Wait()
	defer stop(nil)
	for {
		select {
		case <-reading.Done():
			if ctx.Err() != nil {
				return nil
			}
			return context.Cause(reading) //nolint:wrapcheck // it is in words
		case first, open := <-arrived:
			if !open {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("the broker has ended the reading of the queue %q", queue)
			}
			if err := s.take(reading, first, arrived); err != nil {
				return err
			}
		}
	}
}

// await waits until the channel is lost, and says why. What waits to be taken is the queue's
// again then, also where the channel was lost for that: RabbitMQ closes one on which a message
// has waited longer than its consumer_timeout.
func (r *Reader) await(ctx context.Context, lost <-chan *amqp.Error) error {
	select {
	case failure := <-lost:
		if failure == nil {
			failure = amqp.ErrClosed
		}
		return errors.New(r.words(failure))
	case <-ctx.Done():
		return nil
	}
}

// session is what is read by one channel.
type session struct {
	*Reader

	consumer  *consume.Consumer
	channel   *amqp.Channel
	partition string
	position  int64
	gathering consume.Gathering
}

// take takes a message, and those that have come with it, and acknowledges them. What it
// does not acknowledge the queue gives to others once the channel is closed.
func (s *session) take(ctx context.Context, first amqp.Delivery, arrived <-chan amqp.Delivery) error {
	s.gathering.Wait(ctx)
	messages := []amqp.Delivery{first}
	for len(messages) < maxHeld {
		select {
		case message, open := <-arrived:
			if open {
				messages = append(messages, message)
				continue
			}
		default:
		}
		break
	}
	s.gathering.Begin(len(messages))
	records := make([]consume.Record, len(messages))
	for i, message := range messages {
		records[i] = s.incoming(message)
	}
	for len(records) > 0 {
		taken, err := s.consumer.Take(ctx, records)
		if taken > 0 {
			if err := s.channel.Ack(messages[taken-1].DeliveryTag, true); err != nil {
				return errors.New("the connection to the broker was lost: " + s.words(err))
			}
		}
		if err != nil {
			return nil //nolint:nilerr // it is told to stop, or the channel is lost
		}
		records, messages = records[taken:], messages[taken:]
	}
	return nil
}

// measure asks again and again how many messages wait.
func (s *session) measure(ctx context.Context, conn *amqp.Connection) {
	again := time.NewTicker(lagInterval)
	defer again.Stop()
	channel, err := conn.Channel()
	if err != nil {
		return // the other one is closed too
	}
	defer func() { _ = channel.Close() }()
	for {
		queue, err := channel.QueueDeclarePassive(s.config.Consume.Queue, false, false, false, false, nil)
		if err != nil || ctx.Err() != nil {
			return
		}
		s.consumer.SetLag(s.partition, int64(queue.Messages))
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// incoming is a message as it was read.
func (s *session) incoming(message amqp.Delivery) consume.Record {
	s.position++
	in := consume.Record{
		Partition: s.partition, Position: s.position,
		Where: fmt.Sprintf("queue %s, delivery %d of %s", s.config.Consume.Queue, s.position, s.partition[len(s.partition)-12:]),
	}
	in.Body, in.ContentType, in.MessageID = message.Body, message.ContentType, message.MessageId
	for name, value := range message.Headers {
		switch value := value.(type) {
		case amqp.Table, []any, []byte, nil: // what brokers write of themselves
			continue
		case time.Time:
			in.Headers = append(in.Headers, streams.Header{Name: name, Value: value.UTC().Format(time.RFC3339Nano)})
		default:
			in.Headers = append(in.Headers, streams.Header{Name: name, Value: fmt.Sprint(value)})
		}
		in.AddAttribute(prefix, name, attribute(value))
		in.AddAttribute(otherPrefix, name, attribute(value))
	}
	return in
}

// attribute is the value of a header as an attribute of a CloudEvent has it.
func attribute(value any) any {
	switch value := value.(type) {
	case int8:
		return float64(value)
	case int16:
		return float64(value)
	case int32:
		return float64(value)
	case int64:
		return float64(value)
	case time.Time:
		return value.UTC().Format(time.RFC3339Nano)
	default:
		return value
	}
}

// words says in words why nothing is read.
func (r *Reader) words(err error) string {
	failure, ok := errors.AsType[*amqp.Error](err)
	switch {
	case !ok:
		return streams.Words(err)
	case failure.Code == amqp.NotFound:
		return fmt.Sprintf("the broker has no queue %q", r.config.Consume.Queue)
	case failure.Code == amqp.AccessRefused:
		return "the broker refuses it: " + strings.ToLower(failure.Reason)
	}
	return strings.ToLower(failure.Reason)
}
