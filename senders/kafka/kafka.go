// Package kafka publishes to topics of Kafka, and of what speaks its protocol. What it
// publishes is stored when all in-sync replicas have acknowledged it, and not before.
package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/postdate/postdate/internal/streams"
)

const (
	// dialTimeout bounds one try to connect, and pingTimeout the question whether a broker
	// answers.
	dialTimeout = 5 * time.Second
	pingTimeout = 5 * time.Second
	// unknownTopicRetries is how often the topic is asked for again where brokers do not know
	// it: one that was just created is not known everywhere yet.
	unknownTopicRetries = 1
	// maxBuffered bounds the records without an answer.
	maxBuffered = 10_000
)

// Broker publishes to one topic.
type Broker struct {
	config streams.Config
	client *kgo.Client
	// up: the latest connection was made. down is why it was not.
	up   atomic.Bool
	down atomic.Pointer[error]

	mu sync.Mutex
	// pending are the records without an answer, by their ids.
	pending map[string]*pending
}

// pending is a record without an answer. The client is never told to give one up: the
// sequence number of a record that was given up is given to another, which a broker that
// has stored the first takes for a repetition, and acknowledges without storing it. Further
// attempts at the same record wait for the same answer.
type pending struct {
	record *kgo.Record
	done   chan struct{} // closed once record and err are the answer
	err    error
}

// Open makes the broker of a stream. The client connects when it is first needed.
func Open(c streams.Config) (streams.Broker, error) {
	b := &Broker{config: c, pending: make(map[string]*pending)}
	options := append(Options(c),
		kgo.WithHooks(hooks{b}),
		// Idempotent is the default. No topic is ever created: that is the default too.
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.UnknownTopicRetries(unknownTopicRetries), kgo.MaxBufferedRecords(maxBuffered),
	)
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	b.client = client
	return b, nil
}

// Options are those by which a client reaches the brokers of a stream.
func Options(c streams.Config) []kgo.Opt {
	options := []kgo.Opt{kgo.ClientID("postdate"), kgo.SeedBrokers(c.Servers...), kgo.DialTimeout(dialTimeout)}
	if c.TLS != nil {
		options = append(options, kgo.DialTLSConfig(c.TLS.Config()))
	}
	if c.Username != "" {
		options = append(options, kgo.SASL(mechanism(c)))
	}
	return options
}

// mechanism is how c authenticates.
func mechanism(c streams.Config) sasl.Mechanism {
	auth := scram.Auth{User: c.Username, Pass: c.Password.Reveal()}
	switch c.Mechanism {
	case "scram-sha-256":
		return auth.AsSha256Mechanism()
	case "scram-sha-512":
		return auth.AsSha512Mechanism()
	default:
		return plain.Auth{User: c.Username, Pass: c.Password.Reveal()}.AsMechanism()
	}
}

// hooks notes for a broker how its connections are.
type hooks struct{ b *Broker }

// OnBrokerConnect notes whether a connection was made.
func (h hooks) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	h.b.up.Store(err == nil)
	if err != nil {
		h.b.down.Store(&err)
	}
}

// OnBrokerDisconnect notes that a connection was lost: the next record asks whether there
// is another.
func (h hooks) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) { h.b.up.Store(false) }

// Close closes the connections. Records without an answer are given up.
func (b *Broker) Close() { b.client.Close() }

// Publish publishes r, and waits for the acknowledgement.
func (b *Broker) Publish(ctx context.Context, r streams.Record) (string, error) {
	if err := b.reach(ctx); err != nil {
		return "", err
	}
	p := b.produce(ctx, r)
	select {
	case <-p.done:
		if p.err != nil {
			return "", b.explain(p.err)
		}
		return fmt.Sprintf("topic %s, partition %d, offset %d", p.record.Topic, p.record.Partition, p.record.Offset), nil
	case <-ctx.Done():
		return "", fmt.Errorf("no acknowledgement: %w", ctx.Err())
	}
}

// reach asks for any broker, unless one was connected to last. What cannot be sent now fails
// now, and waits nowhere else.
func (b *Broker) reach(ctx context.Context) error {
	if b.up.Load() {
		return nil
	}
	bounded, stop := context.WithTimeout(ctx, pingTimeout)
	defer stop()
	err := b.client.Ping(bounded)
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &streams.PublishError{Reason: b.unreached(err)}
}

// unreached says why no broker answers.
func (b *Broker) unreached(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		if down := b.down.Load(); down != nil && !b.up.Load() {
			err = *down
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no connection to the broker: it does not answer"
	}
	if errors.Is(err, io.EOF) {
		return "no connection to the broker: it closes the connection: are TLS, mechanism, username and password right?"
	}
	return "no connection to the broker: " + streams.Words(err)
}

// produce hands r to the client, or finds the same record there.
func (b *Broker) produce(ctx context.Context, r streams.Record) *pending {
	b.mu.Lock()
	if earlier := b.pending[r.ID]; earlier != nil && bytes.Equal(earlier.record.Value, r.Body) {
		b.mu.Unlock()
		return earlier
	}
	p := &pending{record: b.record(r), done: make(chan struct{})}
	b.pending[r.ID] = p
	b.mu.Unlock()
	b.client.TryProduce(context.WithoutCancel(ctx), p.record, func(_ *kgo.Record, err error) {
		p.err = err
		b.mu.Lock()
		if b.pending[r.ID] == p {
			delete(b.pending, r.ID)
		}
		b.mu.Unlock()
		close(p.done)
	})
	return p
}

// record is r as Kafka has it: attributes as headers that begin with ce_.
func (b *Broker) record(r streams.Record) *kgo.Record {
	record := &kgo.Record{Topic: b.config.Topic, Key: []byte(r.Key), Value: r.Body}
	add := func(name, value string) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	for _, a := range r.Attributes {
		add("ce_"+a.Name, a.Value)
	}
	if r.ContentType != "" {
		add("content-type", r.ContentType)
	}
	for _, h := range r.Headers {
		add(h.Name, h.Value)
	}
	return record
}

// explain says in words why nothing was stored.
func (b *Broker) explain(err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return &streams.PublishError{Reason: fmt.Sprintf("too large for the topic %q", b.config.Topic), Never: true}
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return &streams.PublishError{Reason: fmt.Sprintf("the broker has no topic %q", b.config.Topic)}
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return &streams.PublishError{Reason: fmt.Sprintf("the broker does not let us write to the topic %q", b.config.Topic)}
	case errors.Is(err, kgo.ErrMaxBuffered):
		return &streams.PublishError{Reason: "the broker is behind: too many records wait for its answer", Busy: true}
	case errors.Is(err, kerr.ThrottlingQuotaExceeded):
		return &streams.PublishError{Reason: "the broker asks for less: " + err.Error(), Busy: true}
	}
	if _, ok := errors.AsType[*kerr.Error](err); ok {
		return &streams.PublishError{Reason: "the broker refuses it: " + err.Error()}
	}
	return &streams.PublishError{Reason: "nothing was stored: " + streams.Words(err)}
}

// Probe asks for the topic.
func (b *Broker) Probe(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	request.AllowAutoTopicCreation = false
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = new(b.config.Topic)
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, b.client)
	if err != nil {
		return errors.New(b.unreached(err))
	}
	for _, topic := range response.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return b.explain(err)
		}
	}
	return nil
}
