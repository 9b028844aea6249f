package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postdate/postdate/internal/consume"
)

// taker takes the records of one partition, in their order.
type taker struct {
	*session

	partition int32
	ctx       context.Context //nolint:containedctx // it ends when the partition is revoked
	cancel    context.CancelFunc
	more      chan struct{} // has a value where records may have been added
	done      chan struct{} // is closed once nothing is under way

	mu            sync.Mutex
	queue         []*kgo.Record
	bytes         int
	paused        bool
	highWatermark int64
}

// add adds records that were fetched. With too many of them no more are.
func (l *taker) add(records []*kgo.Record, highWatermark int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue, l.highWatermark = append(l.queue, records...), highWatermark
	for _, record := range records {
		l.bytes += len(record.Value)
	}
	if l.bytes > maxQueued && !l.paused {
		l.paused = true
		l.client.PauseFetchPartitions(map[string][]int32{l.config.Topic: {l.partition}})
	}
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// next removes the records that wait.
func (l *taker) next() []*kgo.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	records := l.queue
	l.queue, l.bytes = nil, 0
	if l.paused {
		l.paused = false
		l.client.ResumeFetchPartitions(map[string][]int32{l.config.Topic: {l.partition}})
	}
	return records
}

// run takes records until the partition is revoked.
func (l *taker) run() {
	defer close(l.done)
	defer l.cancel()
	name, ok := l.name()
	if !ok {
		return
	}
	defer l.consumer.Forget(name)
	defer l.consumer.ForgetLag(name)
	var gathering consume.Gathering
	for {
		gathering.Wait(l.ctx)
		records := l.next()
		if len(records) == 0 {
			select {
			case <-l.ctx.Done():
				return
			case <-l.more:
			}
			continue
		}
		gathering.Begin(len(records))
		if !l.take(name, records) {
			return
		}
	}
}

// name is what executions are called by: of another topic of the same name it is another one.
func (l *taker) name() (name string, ok bool) {
	for {
		id, err := l.topicID(l.ctx)
		switch {
		case l.ctx.Err() != nil:
			return "", false
		case err != nil:
			l.consumer.Unreached(l.ctx, err)
		case id == "":
			return fmt.Sprintf("%s/%d", l.config.Topic, l.partition), true
		default:
			return fmt.Sprintf("%s@%.12s/%d", l.config.Topic, id, l.partition), true
		}
		select {
		case <-l.ctx.Done():
			return "", false
		case <-time.After(time.Second):
		}
	}
}

// take takes these records, and marks each as one that may be committed. It reports whether
// the partition is still ours.
func (l *taker) take(name string, fetched []*kgo.Record) bool {
	records := make([]consume.Record, len(fetched))
	for i, record := range fetched {
		records[i] = incoming(name, record)
	}
	for len(records) > 0 {
		taken, err := l.consumer.Take(l.ctx, records)
		if taken > 0 {
			last := fetched[taken-1]
			l.client.MarkCommitRecords(last)
			l.mu.Lock()
			lag := l.highWatermark - last.Offset - 1
			l.mu.Unlock()
			l.consumer.SetLag(name, lag)
		}
		if err != nil || l.ctx.Err() != nil {
			return false
		}
		records, fetched = records[taken:], fetched[taken:]
	}
	return true
}

// incoming is a record as it was fetched.
func incoming(name string, record *kgo.Record) consume.Record {
	in := consume.Record{
		Partition: name, Position: record.Offset,
		Where: fmt.Sprintf("topic %s, partition %d, offset %d", record.Topic, record.Partition, record.Offset),
	}
	in.Body = record.Value
	for _, h := range record.Headers {
		in.AddText(prefix, h.Key, string(h.Value))
	}
	return in
}
