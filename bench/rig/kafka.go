package rig

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaPartitions is how many each topic has.
const kafkaPartitions = 3

// Kafka speaks Kafka's protocol, and keeps its topics in memory.
type Kafka struct {
	cluster *kfake.Cluster
	writer  *kgo.Client
	stop    context.CancelFunc
	readers sync.WaitGroup
}

// StartKafka starts one.
func StartKafka() (*Kafka, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(kafkaPartitions, TopicIn, TopicOut))
	if err != nil {
		return nil, fmt.Errorf("start Kafka: %w", err)
	}
	k := &Kafka{cluster: cluster, stop: func() {}}
	// Record by record to each partition in turn, so that all have as much to do.
	k.writer, err = kgo.NewClient(kgo.SeedBrokers(k.Address()), kgo.DefaultProduceTopic(TopicIn), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		cluster.Close()
		return nil, fmt.Errorf("write to Kafka: %w", err)
	}
	return k, nil
}

// Address is host and port.
func (k *Kafka) Address() string { return k.cluster.ListenAddrs()[0] }

// Write stores records in TopicIn.
func (k *Kafka) Write(ctx context.Context, records ...Record) error {
	produced := make([]*kgo.Record, len(records))
	for i, r := range records {
		produced[i] = &kgo.Record{Value: r.Body}
		for name, value := range r.Headers {
			produced[i].Headers = append(produced[i].Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
	}
	if err := k.writer.ProduceSync(ctx, produced...).FirstErr(); err != nil {
		return fmt.Errorf("write to Kafka: %w", err)
	}
	return nil
}

// Read calls take for each record of TopicOut.
func (k *Kafka) Read(ctx context.Context, take func(Record)) error {
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.Address()), kgo.ConsumeTopics(TopicOut), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return fmt.Errorf("read from Kafka: %w", err)
	}
	ctx, k.stop = context.WithCancel(ctx)
	k.readers.Go(func() {
		defer reader.Close()
		for ctx.Err() == nil {
			reader.PollFetches(ctx).EachRecord(func(record *kgo.Record) {
				r := Record{Headers: make(map[string]string, len(record.Headers)), Body: record.Value}
				for _, h := range record.Headers {
					r.Headers[h.Key] = string(h.Value)
				}
				take(r)
			})
		}
	})
	return nil
}

// Stop ends it, and with it what it holds.
func (k *Kafka) Stop() {
	k.stop()
	k.readers.Wait()
	k.writer.Close()
	k.cluster.Close()
}
