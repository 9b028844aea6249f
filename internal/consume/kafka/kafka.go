// Package kafka reads topics of Kafka, and of what speaks its protocol, as a member of a
// consumer group. Offsets are committed behind what was taken, and never before it.
package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postdate/postdate/internal/consume"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/senders/kafka"
)

const (
	// prefix is that of the headers of CloudEvents in binary mode.
	prefix = "ce_"
	// maxQueued is from how many bytes on no more of a partition is fetched, and maxFetched
	// bounds what one fetch of it brings. No partition holds more than both.
	maxQueued, maxFetched = 1 << 20, 1 << 20
	// fetchWait bounds how long a broker waits for records.
	fetchWait = 500 * time.Millisecond
	// commitInterval is how often offsets are committed. What was taken since is read again
	// after a kill, and recognised.
	commitInterval = time.Second
	// sessionTimeout is after how long without a heartbeat a member counts as dead, and others
	// read its partitions.
	sessionTimeout = 10 * time.Second
	// rebalanceTimeout is how long the group waits for its members where it is divided anew: so
	// long a member that is killed just then holds all up. Each stops within moments.
	rebalanceTimeout = 15 * time.Second
	// probeInterval is how often the topic is asked for, and probeTimeout how long an answer
	// may take.
	probeInterval, probeTimeout = 15 * time.Second, 10 * time.Second
	// leaveTimeout bounds the last commit.
	leaveTimeout = 5 * time.Second
)

// Reader reads one topic.
type Reader struct{ config streams.Config }

// Open makes the reader of a stream.
func Open(c streams.Config) (consume.Reader, error) { return &Reader{c}, nil }

// Read reads the topic's partitions that the group gives to this process.
func (r *Reader) Read(ctx context.Context, c *consume.Consumer) error {
	s := &session{config: r.config, consumer: c, takers: make(map[int32]*taker)}
	var failed context.CancelCauseFunc
	s.ctx, failed = context.WithCancelCause(ctx)
	defer failed(nil)
	client, err := kgo.NewClient(append(kafka.Options(r.config),
		kgo.ConsumerGroup(r.config.Consume.Group), kgo.ConsumeTopics(r.config.Topic),
		// What came before the group did is read too.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(commitInterval), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(s.assigned), kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.lost),
		kgo.SessionTimeout(sessionTimeout), kgo.RebalanceTimeout(rebalanceTimeout), kgo.FetchMaxPartitionBytes(maxFetched), kgo.FetchMaxWait(fetchWait),
	)...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	s.client = client
	var probing sync.WaitGroup
	probing.Go(s.probe)
	err = s.poll()
	failed(err)
	probing.Wait()
	s.stop(s.partitions())
	leaving, stop := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer stop()
	_ = client.CommitMarkedOffsets(leaving) // what is not committed is recognised when it is read again
	client.CloseAllowingRebalance()
	return err
}

// session is one membership of the group.
type session struct {
	config   streams.Config
	consumer *consume.Consumer
	client   *kgo.Client
	ctx      context.Context //nolint:containedctx // it is that of the membership

	mu     sync.Mutex
	takers map[int32]*taker
}

// poll hands what is fetched to the takers, until the membership ends.
func (s *session) poll() error {
	for {
		fetches := s.client.PollFetches(s.ctx)
		if s.ctx.Err() != nil {
			return fmt.Errorf("read the topic: %w", context.Cause(s.ctx))
		}
		var failure error
		fetches.EachError(func(_ string, _ int32, err error) {
			switch {
			case kerr.IsRetriable(err), errors.Is(err, context.Canceled):
				s.consumer.Unreached(s.ctx, errors.New(words(s.config, err)))
			default: // this partition is never fetched again
				failure = errors.New(words(s.config, err))
			}
		})
		if failure != nil {
			return failure
		}
		fetches.EachPartition(func(of kgo.FetchTopicPartition) {
			s.mu.Lock()
			l := s.takers[of.Partition]
			s.mu.Unlock()
			if l != nil { // else it was lost
				l.add(of.Records, of.HighWatermark)
			}
		})
		s.client.AllowRebalance()
	}
}

func (s *session) assigned(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, partition := range assigned[s.config.Topic] {
		l := &taker{session: s, partition: partition, more: make(chan struct{}, 1), done: make(chan struct{})}
		l.ctx, l.cancel = context.WithCancel(s.ctx) //nolint:fatcontext // each has its own
		s.takers[partition] = l
		go l.run()
	}
}

// revoked waits until nothing of the partitions is under way, and commits what was taken:
// their next reader begins behind that.
func (s *session) revoked(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
	s.stop(revoked[s.config.Topic])
	_ = client.CommitMarkedOffsets(ctx)
}

// lost is the same where others have them already: what they read too is recognised.
func (s *session) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	s.stop(lost[s.config.Topic])
}

// stop stops the takers of partitions, and waits for them.
func (s *session) stop(partitions []int32) {
	var stopped []*taker
	s.mu.Lock()
	for _, partition := range partitions {
		if l := s.takers[partition]; l != nil {
			delete(s.takers, partition)
			l.cancel()
			stopped = append(stopped, l)
		}
	}
	s.mu.Unlock()
	for _, l := range stopped {
		<-l.done
	}
}

func (s *session) partitions() (partitions []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for partition := range s.takers {
		partitions = append(partitions, partition)
	}
	return partitions
}

// probe asks for the topic again and again.
func (s *session) probe() {
	again := time.NewTicker(probeInterval)
	defer again.Stop()
	for {
		_, err := s.topicID(s.ctx)
		switch {
		case s.ctx.Err() != nil:
			return
		case err != nil:
			s.consumer.Unreached(s.ctx, err)
		default:
			s.consumer.Reached(s.ctx)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-again.C:
		}
	}
}

// topicID is what tells the topic from another one that had its name: empty where the
// brokers do not say.
func (s *session) topicID(ctx context.Context) (string, error) {
	ctx, stop := context.WithTimeout(ctx, probeTimeout)
	defer stop()
	request := kmsg.NewPtrMetadataRequest()
	request.AllowAutoTopicCreation = false
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = new(s.config.Topic)
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, s.client)
	if err != nil {
		return "", errors.New(words(s.config, err))
	}
	for _, topic := range response.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return "", errors.New(words(s.config, err))
		}
		if topic.TopicID != [16]byte{} {
			return hex.EncodeToString(topic.TopicID[:]), nil
		}
	}
	return "", nil
}

// words says in words why nothing is read.
func words(c streams.Config, err error) string {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return fmt.Sprintf("the broker has no topic %q", c.Topic)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return fmt.Sprintf("the broker does not let us read the topic %q", c.Topic)
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return fmt.Sprintf("the broker does not let us into the group %q", c.Consume.Group)
	case errors.Is(err, context.DeadlineExceeded):
		return "no connection to the broker: it does not answer"
	case errors.Is(err, io.EOF):
		return "no connection to the broker: it closes the connection: are TLS, mechanism, username and password right?"
	}
	return streams.Words(err)
}
