// Package nats reads streams of NATS JetStream by a durable consumer. Messages are
// acknowledged behind what was taken, and never before it.
package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postdate/postdate/internal/consume"
	"github.com/postdate/postdate/internal/streams"
	sender "github.com/postdate/postdate/senders/nats"
)

const (
	// prefix is that of the headers of CloudEvents in binary mode.
	prefix = "ce-"
	// maxHeld and maxHeldBytes bound the messages that were read and not taken yet.
	maxHeld, maxHeldBytes = 512, 4 << 20
	// lagInterval is how often the consumer is asked how much waits, and askTimeout how long an
	// answer may take.
	lagInterval, askTimeout = 5 * time.Second, 10 * time.Second
	// defaultAckWait is JetStream's own.
	defaultAckWait = 30 * time.Second
)

// Reader reads one stream.
type Reader struct{ config streams.Config }

// Open makes the reader of a stream.
func Open(c streams.Config) (consume.Reader, error) { return &Reader{c}, nil }

// Read reads the messages that the durable consumer gives to this process.
func (r *Reader) Read(ctx context.Context, c *consume.Consumer) error {
	options := sender.Options(r.config)
	// The first connection fails at once, with the reason: it is tried again from above.
	options.RetryOnFailedConnect = false
	conn, err := options.Connect()
	if err != nil {
		return fmt.Errorf("no connection to the broker: %s", streams.Words(err))
	}
	defer conn.Close()
	s := &session{config: r.config, consumer: c, held: make(map[int64]jetstream.Msg), arrived: make(chan jetstream.Msg, maxHeld)}
	if err := s.find(ctx, conn); err != nil {
		return err
	}
	c.Reached(ctx)
	defer c.ForgetLag(s.partition)
	return s.run(ctx)
}

// session is what is read by one connection.
type session struct {
	config    streams.Config
	consumer  *consume.Consumer
	durable   jetstream.Consumer
	partition string
	ackWait   time.Duration
	arrived   chan jetstream.Msg
	gathering consume.Gathering

	mu sync.Mutex
	// held are the messages that are not acknowledged yet, by their sequences.
	held map[int64]jetstream.Msg
}

// find finds the durable consumer, and creates nothing.
func (s *session) find(ctx context.Context, conn *nats.Conn) error {
	ctx, stop := context.WithTimeout(ctx, askTimeout)
	defer stop()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	stream, err := js.Stream(ctx, s.config.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("the broker has no stream %q", s.config.Stream)
	}
	if err != nil {
		return fmt.Errorf("ask for the stream %q: %w", s.config.Stream, err)
	}
	name := s.config.Consume.Consumer
	s.durable, err = stream.Consumer(ctx, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("the stream %q has no consumer %q", s.config.Stream, name)
	}
	if err != nil {
		return fmt.Errorf("ask for the consumer %q: %w", name, err)
	}
	config := s.durable.CachedInfo().Config
	switch {
	case config.AckPolicy != jetstream.AckExplicitPolicy:
		return fmt.Errorf("the consumer %q must have the ack policy explicit", name)
	case config.MaxDeliver > 0:
		return fmt.Errorf("the consumer %q must deliver without a limit (max_deliver -1): what was delivered %d times in vain would be lost",
			name, config.MaxDeliver)
	}
	s.ackWait = cmp.Or(config.AckWait, defaultAckWait)
	s.gathering.Most = max(0, config.MaxAckPending) // it may be -1
	// A stream that is created again begins with the same sequences.
	s.partition = fmt.Sprintf("%s@%x", s.config.Stream, stream.CachedInfo().Created.UnixNano())
	return nil
}

// run reads until ctx is done, or the connection is lost for long.
func (s *session) run(ctx context.Context) error {
	messages, err := s.durable.Messages(jetstream.PullMaxMessagesWithBytesLimit(maxHeld, maxHeldBytes))
	if err != nil {
		return fmt.Errorf("read the consumer: %w", err)
	}
	var helpers sync.WaitGroup
	ctx, failed := context.WithCancelCause(ctx)
	helpers.Go(func() { failed(s.read(ctx, messages)) })
	helpers.Go(func() { s.keep(ctx) })
	helpers.Go(func() { s.measure(ctx) })
	for {
		select {
		case first := <-s.arrived:
			s.take(ctx, first)
			continue
		case <-ctx.Done():
		}
		break
	}
	messages.Stop()
	helpers.Wait()
	s.giveBack()
	return fmt.Errorf("read the consumer: %w", context.Cause(ctx))
}

// read reads messages, and holds them.
func (s *session) read(ctx context.Context, messages jetstream.MessagesContext) error {
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("next message: %w", err)
		}
		meta, err := message.Metadata()
		if err != nil {
			return fmt.Errorf("its place: %w", err)
		}
		s.mu.Lock()
		s.held[int64(meta.Sequence.Stream)] = message //nolint:gosec // no stream has so many
		s.mu.Unlock()
		select {
		case s.arrived <- message:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take takes a message, and those that have come with it.
func (s *session) take(ctx context.Context, first jetstream.Msg) {
	s.gathering.Wait(ctx)
	records := []consume.Record{s.incoming(first)}
	for len(records) < maxHeld {
		select {
		case message := <-s.arrived:
			records = append(records, s.incoming(message))
			continue
		default:
		}
		break
	}
	s.gathering.Begin(len(records))
	// What is delivered again comes among what is new.
	slices.SortStableFunc(records, func(a, b consume.Record) int { return cmp.Compare(a.Position, b.Position) })
	records = slices.CompactFunc(records, func(a, b consume.Record) bool { return a.Position == b.Position })
	for len(records) > 0 {
		taken, err := s.consumer.Take(ctx, records)
		for _, record := range records[:taken] {
			s.release(record.Position, jetstream.Msg.Ack)
		}
		if err != nil || ctx.Err() != nil {
			return
		}
		records = records[taken:]
	}
}

// release acknowledges a message, or gives it back. Where that is lost it is delivered again,
// and recognised.
func (s *session) release(sequence int64, how func(jetstream.Msg) error) {
	s.mu.Lock()
	message := s.held[sequence]
	delete(s.held, sequence)
	s.mu.Unlock()
	if message != nil {
		_ = how(message)
	}
}

// giveBack gives back what was not taken, so that others get it at once.
func (s *session) giveBack() {
	s.mu.Lock()
	sequences := make([]int64, 0, len(s.held))
	for sequence := range s.held {
		sequences = append(sequences, sequence)
	}
	s.mu.Unlock()
	for _, sequence := range sequences {
		s.release(sequence, jetstream.Msg.Nak)
	}
}

// keep says again and again that what is held is still worked on.
func (s *session) keep(ctx context.Context) {
	again := time.NewTicker(s.ackWait / 3)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		s.mu.Lock()
		for _, message := range s.held {
			_ = message.InProgress()
		}
		s.mu.Unlock()
	}
}

// measure asks again and again how many messages wait.
func (s *session) measure(ctx context.Context) {
	again := time.NewTicker(lagInterval)
	defer again.Stop()
	for {
		bounded, stop := context.WithTimeout(ctx, askTimeout)
		info, err := s.durable.Info(bounded)
		stop()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.consumer.Unreached(ctx, fmt.Errorf("ask for the consumer: %w", err))
		default:
			s.consumer.Reached(ctx)
			s.consumer.SetLag(s.partition, int64(info.NumPending)+int64(info.NumAckPending)) //nolint:gosec // no stream has so many
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// incoming is a message as it was read.
func (s *session) incoming(message jetstream.Msg) consume.Record {
	meta, _ := message.Metadata() // it was read before
	in := consume.Record{
		Partition: s.partition, Position: int64(meta.Sequence.Stream), //nolint:gosec // no stream has so many
		Where: fmt.Sprintf("stream %s, sequence %d", s.config.Stream, meta.Sequence.Stream),
	}
	in.Body = message.Data()
	for name, values := range message.Headers() {
		for _, value := range values {
			in.AddEncoded(prefix, name, value)
		}
	}
	return in
}
