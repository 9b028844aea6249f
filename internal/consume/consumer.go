package consume

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/streams"
)

const (
	// blockSize is how many places of a partition a block has, and so how many records an Intake
	// carries at most. It is a part of what executions are called, and cannot be changed.
	blockSize = 256
	// maxBytes bounds the records of an Intake, and maxPlan what is recorded of it: Temporal
	// takes 2 MB, encrypted.
	maxBytes = 512 << 10
	maxPlan  = 3 << 19
)

// Consumer takes the records of one stream. Partitions may be used side by side.
type Consumer struct {
	stream      streams.Config
	parser      Parser
	ingester    Ingester
	deadLetters DeadLetters
	log         *slog.Logger
	now         func() time.Time

	status status

	mu         sync.Mutex
	partitions map[string]*partition
}

func newConsumer(c Config, stream streams.Config) *Consumer {
	return &Consumer{
		stream: stream, parser: c.Parser, ingester: c.Ingester, deadLetters: c.DeadLetters, log: c.Log, now: c.Now,
		partitions: make(map[string]*partition), status: newStatus(c.Now),
	}
}

// errOthers says that others have carried something of the block, and it is known now what.
var errOthers = errors.New("others read it too")

// errStopped says that a record cannot be taken, and that nothing behind it is.
var errStopped = errors.New("stopped")

// Take takes the first of these records, which are those of one partition in their order, and
// returns how many: at least one, unless ctx ends before. What cannot be taken has then gone
// to the dead letters. Where something is in the way it waits: for a quota, for Temporal, for
// the stream of dead letters, or where there is none, for whoever sees to the record.
func (c *Consumer) Take(ctx context.Context, records []Record) (taken int, err error) {
	working, stop := lingering(ctx)
	defer stop()
	records = head(records)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		taken, err := c.try(working, records, false)
		if err == nil {
			c.status.goOn(records[0].Partition)
			return taken, nil
		}
		waiting := pause
		if errors.Is(err, errStopped) {
			waiting = stoppedPause
		}
		c.report(ctx, records[0], err)
		if !wait(ctx, waiting) {
			return 0, fmt.Errorf("take %s: %w", records[0].Where, ctx.Err())
		}
	}
}

// Forget forgets a partition: others may read it from now on.
func (c *Consumer) Forget(partition string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.partitions, partition)
}

// head are the first records, as many as one Intake may carry.
func head(records []Record) []Record {
	size := 0
	for n, record := range records {
		size += record.Size()
		if n > 0 && (size > maxBytes || record.Position/blockSize != records[0].Position/blockSize) {
			return records[:n]
		}
	}
	return records
}

// try takes records once. All are of one block. sure: it is known what all Intakes of the
// block carry.
func (c *Consumer) try(ctx context.Context, records []Record, sure bool) (taken int, err error) {
	b := c.block(records[0])
	arrivals, rejected, err := c.read(ctx, b, records)
	if err != nil {
		return 0, err
	}
	if len(rejected) > 0 && !sure {
		// It may have been taken once, and have expired since.
		if err := b.readRest(ctx, c.ingester); err != nil {
			return 0, err
		}
		return c.try(ctx, records, true)
	}
	taken = len(records)
	if len(rejected) > 0 && c.stream.Consume.DeadLetter == "" {
		if taken, arrivals, err = upTo(records, arrivals, rejected); err != nil {
			return 0, err
		}
		rejected = nil
	}
	if len(arrivals) > 0 {
		carried, err := c.carry(ctx, b, arrivals)
		switch {
		case errors.Is(err, errOthers):
			return c.try(ctx, records, true)
		case err != nil:
			return 0, err
		case carried < len(arrivals):
			taken = indexOf(records, arrivals[carried].Position)
		}
	}
	return c.settle(ctx, b, records[:taken], rejected)
}

// read reads what those records hold that are in no Intake yet, and why the others are
// rejected, by their positions.
func (c *Consumer) read(ctx context.Context, b *block, records []Record) (arrivals []ingest.Arrival, rejected map[int64]*streams.RejectedError, err error) {
	rejected = make(map[int64]*streams.RejectedError)
	for _, record := range records {
		if _, carried := b.carried[record.Position]; carried {
			continue
		}
		tenant, err := c.tenantOf(record)
		var arrival ingest.Arrival
		if err == nil {
			arrival, err = c.parser.ReadRecord(ctx, tenant, record.Incoming, c.stream.Consume.Share)
		}
		if rejection, ok := errors.AsType[*streams.RejectedError](err); ok {
			rejected[record.Position] = rejection
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", record.Where, err)
		}
		arrival.Position = record.Position
		arrivals = append(arrivals, arrival)
	}
	return arrivals, rejected, nil
}

// upTo are the arrivals before the first record that is rejected. Where that comes first it
// stops everything.
func upTo(records []Record, arrivals []ingest.Arrival, rejected map[int64]*streams.RejectedError) (int, []ingest.Arrival, error) {
	for n, record := range records {
		rejection := rejected[record.Position]
		switch {
		case rejection != nil && n == 0:
			return 0, nil, fmt.Errorf("%w at %s, which cannot be taken: %w", errStopped, record.Where, rejection)
		case rejection != nil:
			before := 0
			for before < len(arrivals) && arrivals[before].Position < record.Position {
				before++
			}
			return n, arrivals[:before], nil
		}
	}
	return len(records), arrivals, nil
}

// carry starts the next Intake of a block, which carries the first arrivals: as many as
// quotas and sizes allow.
func (c *Consumer) carry(ctx context.Context, b *block, arrivals []ingest.Arrival) (carried int, err error) {
	for n := len(arrivals); ; n /= 2 {
		release, err := c.ingester.AdmitArrivals(ctx, arrivals[:n])
		switch {
		case postdate.CodeOf(err).IsRefusal() && n > 1:
			continue
		case err != nil:
			return 0, err
		}
		in, err := c.ingester.PlanIntake(ctx, c.stream.Name, b.next(), arrivals[:n])
		if err == nil {
			text, _ := json.Marshal(in) //nolint:errchkjson // what was decoded can be encoded
			if len(text) > maxPlan && n > 1 {
				release()
				continue
			}
			err = c.ingester.RunIntake(ctx, b.next(), in)
		}
		if errors.Is(err, executions.ErrExists) {
			if err = b.readRest(ctx, c.ingester); err == nil {
				err = errOthers
			}
		}
		if err != nil {
			release()
			return 0, err
		}
		b.add(in.Positions)
		return n, nil
	}
}

// settle waits until what carries these records has started all that they ask for, and
// publishes the dead letters. It returns how many records are settled.
func (c *Consumer) settle(ctx context.Context, b *block, records []Record, rejected map[int64]*streams.RejectedError) (taken int, err error) {
	if err := b.await(ctx, c.ingester, records); err != nil {
		return 0, err
	}
	refused := 0
	for n, record := range records {
		rejection := cmp.Or(rejected[record.Position], b.conflicts[record.Position])
		switch {
		case rejection == nil:
			continue
		case c.stream.Consume.DeadLetter != "":
			err = c.reject(ctx, record, rejection)
			refused++
		case n > 0:
			c.status.count(n, 0)
			return n, nil
		default:
			err = fmt.Errorf("%w at %s, which cannot be taken: %w", errStopped, record.Where, rejection)
		}
		if err != nil {
			return 0, err
		}
	}
	c.status.count(len(records)-refused, refused)
	return len(records), nil
}

// indexOf is the index of the record of that position.
func indexOf(records []Record, position int64) int {
	for n, record := range records {
		if record.Position == position {
			return n
		}
	}
	return len(records)
}
