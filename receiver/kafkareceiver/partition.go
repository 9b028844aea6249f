package kafkareceiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postdate/postdate/receiver"
)

// The headers of a dead letter, beside its own.
const (
	headerReason    = "postdate-abort-reason"
	headerTopic     = "postdate-topic"
	headerPartition = "postdate-partition"
	headerOffset    = "postdate-offset"
)

const (
	shortestPause = time.Second
	longestPause  = time.Minute
)

// partition handles the records of one partition, one after another.
type partition struct {
	of       topicPartition
	consumer *Consumer
	records  chan []*kgo.Record // at most one batch: no more is fetched meanwhile
	stop     context.CancelFunc
	done     chan struct{}
}

func (p *partition) run(ctx context.Context) {
	defer close(p.done)
	for {
		select {
		case records := <-p.records:
			for _, record := range records {
				if !p.handle(ctx, record) {
					return
				}
			}
			p.consumer.client.ResumeFetchPartitions(p.of.alone())
		case <-ctx.Done():
			return
		}
	}
}

// handle handles a record until it is done with, and reports whether it is: it is not
// where ctx ends before.
func (p *partition) handle(ctx context.Context, record *kgo.Record) bool {
	c := p.consumer
	m := Message(record)
	if c.config.Reschedule == nil {
		m.SentAt = time.Time{} // it is handled again here, at the time that it asked for
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		// What has begun is finished, and bounded by the receiver's own timeout.
		working := context.WithoutCancel(ctx)
		result := c.receiver.Handle(working, m)
		again, err := p.settle(working, record, m, result)
		if again == 0 && err == nil {
			c.client.MarkCommitRecords(record)
			return true
		}
		pause := cmp.Or(again, min(shortestPause<<min(failures, 6), longestPause))
		if result.Outcome == receiver.Rescheduled && err == nil {
			pause, failures = again, 0
		}
		if err != nil && !errors.Is(err, errFailed) {
			c.config.Logger.WarnContext(ctx, "a record holds up its partition", "topic", record.Topic,
				"partition", record.Partition, "offset", record.Offset, "message", m.ID, "again_in", pause, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return false
}

// settle does what a result asks for. The record is done with where it returns 0 and no
// error; otherwise it is handled again, after that duration at the soonest.
func (p *partition) settle(ctx context.Context, record *kgo.Record, m receiver.Message, result receiver.Result) (time.Duration, error) {
	config := p.consumer.config
	switch result.Outcome {
	case receiver.Accepted:
		return 0, nil
	case receiver.Rescheduled:
		if config.Reschedule == nil {
			return max(time.Until(result.RescheduleTo), time.Millisecond), nil
		}
		if err := config.Reschedule(ctx, m, result.RescheduleTo); err != nil {
			return 0, fmt.Errorf("reschedule: %w", err)
		}
		return 0, nil
	case receiver.Aborted:
		if config.DeadLetters == "" {
			return 0, fmt.Errorf("aborted, and there is no topic for dead letters: %w", result.Err)
		}
		if err := p.consumer.client.ProduceSync(ctx, deadLetter(record, config.DeadLetters, result.Err)).FirstErr(); err != nil {
			return 0, fmt.Errorf("write to the topic for dead letters: %w", err)
		}
		return 0, nil
	default:
		return result.RetryAfter, errFailed
	}
}

// errFailed: the receiver has logged why.
var errFailed = errors.New("failed")

func deadLetter(record *kgo.Record, topic string, reason error) *kgo.Record {
	dead := &kgo.Record{Topic: topic, Key: record.Key, Value: record.Value, Headers: append([]kgo.RecordHeader(nil), record.Headers...)}
	for _, h := range [][2]string{
		{headerReason, reason.Error()},
		{headerTopic, record.Topic},
		{headerPartition, strconv.Itoa(int(record.Partition))},
		{headerOffset, strconv.FormatInt(record.Offset, 10)},
	} {
		dead.Headers = append(dead.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	return dead
}
