// Package natsreceiver hands the messages of a NATS JetStream consumer to a
// [receiver.Receiver], by nats.go:
//
//	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "billing"})
//	…
//	err = natsreceiver.Run(ctx, consumer, expire, natsreceiver.Config{}) // until ctx is done
//
// A message is acknowledged only after the mark and the work on it are committed: one that
// comes again is a duplicate. JetStream is told that a message is in progress for as long
// as its function runs, so AckWait may be short. When ctx is done, the functions that run
// are finished first.
//
//	Reschedule(t)    delivered again at t, or handed to [Config.Reschedule]
//	RetryAfter(d)    delivered again after d
//	Abort(reason)    terminated, with the reason in JetStream's advisory; it stays in a
//	                 stream that keeps what is acknowledged
//	another error    delivered again after a second, and later each time, up to a minute
//
// JetStream holds what is delivered again later as unacknowledged: MaxAckPending bounds how
// many such messages there are, and nothing else is delivered beyond. Its order is that of
// first deliveries; what must be handled strictly in order needs MaxAckPending 1.
package natsreceiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postdate/postdate/receiver"
)

// DefaultConcurrency is how many messages are handled side by side where [Config] does not
// say.
const DefaultConcurrency = 10

const (
	shortestPause = time.Second
	longestPause  = time.Minute
)

// Config says how messages are consumed. The zero value will do.
type Config struct {
	// Concurrency is how many messages are handled side by side. Default
	// [DefaultConcurrency].
	Concurrency int
	// Reschedule is called with a message that the function needs again at a time, in
	// place of having JetStream hold it: it makes a schedule in Postdate, say, whose id
	// follows from the message's id and to, for it may be called again with both. The
	// message is acknowledged when it returns nil.
	Reschedule func(ctx context.Context, m receiver.Message, to time.Time) error
	// Logger gets a line where the broker does not answer as it should. Default
	// [slog.Default].
	Logger *slog.Logger
}

// Run handles the messages of consumer until ctx is done, and then finishes what is under
// way. It returns an error at once where the consumer would lose messages.
func Run(ctx context.Context, consumer jetstream.Consumer, r *receiver.Receiver, config Config) error {
	if consumer == nil || r == nil || config.Concurrency < 0 {
		return errors.New("natsreceiver: a consumer and a receiver are needed, and no negative concurrency")
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return fmt.Errorf("natsreceiver: ask for the consumer: %w", err)
	}
	if err := check(info.Config); err != nil {
		return fmt.Errorf("natsreceiver: consumer %q: %w", info.Name, err)
	}
	config.Logger = cmp.Or(config.Logger, slog.Default())
	c := worker{config: config, consumer: consumer, receiver: r, ackWait: cmp.Or(info.Config.AckWait, 30*time.Second)}
	var workers sync.WaitGroup
	for range cmp.Or(config.Concurrency, DefaultConcurrency) {
		workers.Go(func() { c.run(ctx) })
	}
	workers.Wait()
	return nil
}

// check reports why messages of such a consumer would be lost.
func check(c jetstream.ConsumerConfig) error {
	switch {
	case c.AckPolicy != jetstream.AckExplicitPolicy:
		return errors.New("its messages are not acknowledged one by one: set AckPolicy to AckExplicitPolicy")
	case c.MaxDeliver > 0:
		return fmt.Errorf("it gives a message up after %d deliveries, whatever became of it: set MaxDeliver to -1", c.MaxDeliver)
	}
	return nil
}

type worker struct {
	config   Config
	consumer jetstream.Consumer
	receiver *receiver.Receiver
	ackWait  time.Duration
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		msg, err := w.consumer.Next(jetstream.FetchContext(ctx))
		switch {
		case ctx.Err() != nil:
			if err == nil { // it came at the last moment: others may have it now
				_ = msg.Nak()
			}
			return
		case errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrNoMessages):
		case err != nil:
			w.config.Logger.WarnContext(ctx, "failed to fetch a message", "consumer", w.consumer.CachedInfo().Name, "error", err)
			sleep(ctx, shortestPause)
		default:
			w.handle(context.WithoutCancel(ctx), msg)
		}
	}
}

// handle handles a message, while it tells JetStream that it is in progress, and has it
// acknowledged, delivered again or terminated.
func (w *worker) handle(ctx context.Context, msg jetstream.Msg) {
	m := Message(msg)
	if w.config.Reschedule == nil {
		m.SentAt = time.Time{} // it comes again at the time that it asked for
	}
	handled := make(chan struct{})
	var reporting sync.WaitGroup
	reporting.Go(func() { w.report(msg, handled) })
	result := w.receiver.Handle(ctx, m)
	rescheduled := error(nil)
	if result.Outcome == receiver.Rescheduled && w.config.Reschedule != nil {
		rescheduled = w.config.Reschedule(ctx, m, result.RescheduleTo)
	}
	close(handled)
	reporting.Wait()
	if rescheduled != nil {
		w.config.Logger.WarnContext(ctx, "failed to reschedule a message", "message", m.ID, "error", rescheduled)
	}
	if err := w.settle(msg, result, rescheduled); err != nil {
		// It is delivered again after AckWait: a duplicate where it was handled.
		w.config.Logger.WarnContext(ctx, "failed to acknowledge a message", "message", m.ID, "error", err)
	}
}

func (w *worker) settle(msg jetstream.Msg, result receiver.Result, rescheduled error) error {
	again := cmp.Or(result.RetryAfter, pause(msg))
	var err error
	switch {
	case result.Outcome == receiver.Accepted,
		result.Outcome == receiver.Rescheduled && w.config.Reschedule != nil && rescheduled == nil:
		err = msg.Ack()
	case result.Outcome == receiver.Aborted:
		err = msg.TermWithReason(result.Err.Error())
	case result.Outcome == receiver.Rescheduled && w.config.Reschedule == nil:
		again = max(time.Until(result.RescheduleTo), time.Millisecond)
		err = msg.NakWithDelay(again)
	default:
		err = msg.NakWithDelay(again)
	}
	if err != nil {
		return fmt.Errorf("answer the broker: %w", err)
	}
	return nil
}

// pause is how long to wait before a message that failed is delivered again.
func pause(msg jetstream.Msg) time.Duration {
	var failures uint64
	if meta, err := msg.Metadata(); err == nil && meta.NumDelivered > 0 {
		failures = meta.NumDelivered - 1
	}
	return min(shortestPause<<min(failures, 6), longestPause)
}

// report tells JetStream that a message is in progress, until handled is closed.
func (w *worker) report(msg jetstream.Msg, handled <-chan struct{}) {
	ticker := time.NewTicker(max(w.ackWait/3, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = msg.InProgress() // without it a copy comes, and is told apart
		case <-handled:
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Message is what JetStream delivered as a message, in any of the forms that
// [receiver.ParseMessage] reads. It was sent when the stream stored it.
func Message(msg jetstream.Msg) receiver.Message {
	m := receiver.ParseMessage(msg.Headers(), msg.Data())
	if meta, err := msg.Metadata(); err == nil {
		m.SentAt = meta.Timestamp
	}
	return m
}
