// Package kafkareceiver hands the records of a Kafka consumer group to a
// [receiver.Receiver], by franz-go:
//
//	consumer, err := kafkareceiver.New(expire, kafkareceiver.Config{
//		Group: "billing", Topics: []string{"payments"}, DeadLetters: "payments-dead",
//	}, kgo.SeedBrokers("127.0.0.1:9092"))
//	…
//	err = consumer.Run(ctx) // until ctx is done
//
// Records of a partition are handled one after another, in order, and partitions side
// by side. A record's offset is committed only after the mark and the work on it are:
// one that comes again after a crash or a rebalance is a duplicate. When ctx is done, or
// the partition goes to another member, the function that runs is finished first.
//
// Kafka hands out a partition's records in order and delays none. So:
//
//	Reschedule(t)    [Config.Reschedule] gets the message; without it the partition waits until t
//	RetryAfter(d)    the partition waits for d, and the record is handled again
//	Abort(reason)    to the topic [Config.DeadLetters]; without one the partition stays at it
//	another error    the partition waits for a second, and for longer each time, up to a minute
package kafkareceiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postdate/postdate/receiver"
)

const (
	// maxPolled bounds the records that one poll returns.
	maxPolled = 500
	// commitInterval is how often the offsets of handled records are committed.
	commitInterval = time.Second
	// rebalanceTimeout is how long the group waits for a member to finish what is under way:
	// for longer than a function may take.
	rebalanceTimeout = 2 * time.Minute
	// commitTimeout bounds the last commit before partitions are given up.
	commitTimeout = 10 * time.Second
)

// Config says what a [Consumer] consumes.
type Config struct {
	// Group is the consumer group.
	Group string
	// Topics are those that are consumed.
	Topics []string
	// DeadLetters is the topic for records that the function aborts. They are written
	// there whole, with the reason and where they come from in headers that begin with
	// "postdate-". Without it such a record holds up its partition: it is handled
	// again, with pauses, until the function does not abort it.
	DeadLetters string
	// Reschedule is called with a message that the function needs again at a time, for
	// Kafka cannot hold it: it makes a schedule in Postdate, say, whose id follows from
	// the message's id and to, for it may be called again with both. The record is done
	// with when it returns nil. Without it the record's partition waits until then.
	Reschedule func(ctx context.Context, m receiver.Message, to time.Time) error
	// Logger gets a line for what holds up a partition. Default [slog.Default].
	Logger *slog.Logger
}

// Consumer is a member of a consumer group.
type Consumer struct {
	config   Config
	receiver *receiver.Receiver
	client   *kgo.Client

	mu         sync.Mutex
	partitions map[topicPartition]*partition
}

type topicPartition struct {
	topic  string
	number int32
}

// New makes a consumer. The options say where the brokers are; those of franz-go that say
// how a group consumes are this package's own.
func New(r *receiver.Receiver, config Config, options ...kgo.Opt) (*Consumer, error) {
	if r == nil || config.Group == "" || len(config.Topics) == 0 {
		return nil, errors.New("kafkareceiver: a receiver, a group and topics are needed")
	}
	config.Logger = cmp.Or(config.Logger, slog.Default())
	c := &Consumer{config: config, receiver: r, partitions: map[topicPartition]*partition{}}
	all := append([]kgo.Opt{kgo.AutoCommitInterval(commitInterval), kgo.RebalanceTimeout(rebalanceTimeout)}, options...)
	all = append(
		all,
		kgo.ConsumerGroup(config.Group), kgo.ConsumeTopics(config.Topics...),
		// What is committed is what was handled. A partition is not taken away between a poll
		// and the moment at which its records stand in its own queue.
		kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(c.assigned), kgo.OnPartitionsRevoked(c.revoked), kgo.OnPartitionsLost(c.lost),
	)
	client, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fmt.Errorf("kafkareceiver: %w", err)
	}
	c.client = client
	return c, nil
}

// Run consumes until ctx is done. Then it finishes what is under way, commits, leaves the
// group and closes the connections; a consumer runs once. What goes wrong at the brokers is
// logged, and tried again.
func (c *Consumer) Run(ctx context.Context) error {
	defer c.client.CloseAllowingRebalance()
	for {
		fetches := c.client.PollRecords(ctx, maxPolled)
		if ctx.Err() != nil {
			c.client.AllowRebalance()
			break
		}
		if fetches.IsClientClosed() {
			return errors.New("kafkareceiver: a consumer runs once")
		}
		fetches.EachError(func(topic string, number int32, err error) {
			c.config.Logger.WarnContext(ctx, "failed to fetch records", "topic", topic, "partition", number, "error", err)
		})
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) > 0 {
				c.hand(topicPartition{p.Topic, p.Partition}, p.Records)
			}
		})
		c.client.AllowRebalance()
	}
	c.finish(func(topicPartition) bool { return true })
	c.commit(context.WithoutCancel(ctx))
	return nil
}

// hand gives records to their partition, and fetches no more of it until they are handled.
func (c *Consumer) hand(of topicPartition, records []*kgo.Record) {
	c.mu.Lock()
	p := c.partitions[of]
	c.mu.Unlock()
	if p == nil {
		return // it was lost; whoever has it gets them
	}
	c.client.PauseFetchPartitions(of.alone())
	p.records <- records
}

// alone is the one partition, as franz-go has it.
func (of topicPartition) alone() map[string][]int32 {
	return map[string][]int32{of.topic: {of.number}}
}

func (c *Consumer) assigned(ctx context.Context, client *kgo.Client, topics map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, numbers := range topics {
		for _, number := range numbers {
			of := topicPartition{topic, number}
			p := &partition{of: of, consumer: c, records: make(chan []*kgo.Record, 1), done: make(chan struct{})}
			running, stop := context.WithCancel(context.WithoutCancel(ctx))
			p.stop = stop
			c.partitions[of] = p
			client.ResumeFetchPartitions(of.alone())
			go p.run(running)
		}
	}
}

// revoked finishes what is under way in partitions, and commits before they go to another
// member. It is called without partitions too, at the end of a session that keeps them all.
func (c *Consumer) revoked(ctx context.Context, client *kgo.Client, topics map[string][]int32) {
	c.lost(ctx, client, topics)
	c.commit(ctx)
}

// lost finishes what is under way in partitions that another member may have by now.
func (c *Consumer) lost(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	c.finish(func(of topicPartition) bool { return slices.Contains(topics[of.topic], of.number) })
}

// commit commits the offsets of what was handled.
func (c *Consumer) commit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := c.client.CommitMarkedOffsets(ctx); err != nil {
		c.config.Logger.WarnContext(ctx, "failed to commit offsets", "group", c.config.Group, "error", err)
	}
}

// finish finishes what is under way in the partitions that which says. What was fetched of
// them and has not begun is left to whoever has them next.
func (c *Consumer) finish(which func(topicPartition) bool) {
	var ending []*partition
	c.mu.Lock()
	for of, p := range c.partitions {
		if which(of) {
			ending = append(ending, p)
			delete(c.partitions, of)
		}
	}
	c.mu.Unlock()
	for _, p := range ending {
		p.stop()
	}
	for _, p := range ending {
		<-p.done
	}
}

// Message is a record as a message, in any of the forms that [receiver.ParseMessage] reads.
// It was sent when the record says.
func Message(record *kgo.Record) receiver.Message {
	header := make(map[string][]string, len(record.Headers))
	for _, h := range record.Headers {
		header[h.Key] = append(header[h.Key], string(h.Value))
	}
	m := receiver.ParseMessage(header, record.Value)
	m.SentAt = record.Timestamp
	return m
}
