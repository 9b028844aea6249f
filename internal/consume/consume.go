// Package consume takes events and schedules from the operator's streams. What speaks to
// the brokers stands in the folders below.
//
// A record is taken once, whoever is killed and whatever is read again. The places of a
// partition (of a stream) are divided into blocks of a few hundred. The executions that carry
// a block's records, Intakes, are numbered, and each says which records it carries. Whoever
// starts the next one has read those before it: their ids follow from block and number, and
// Temporal starts only one of each. So no record is in two of them, whether or not it was
// acknowledged to the broker, and whoever reads the partition.
//
// A record is acknowledged once its Intake has started all that it asks for.
package consume

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/protocol"
)

// Record is a record of a stream.
type Record struct {
	streams.Incoming

	// Partition is whose records are taken in their order. Its name is another one where a
	// partition of the same name begins again from the start.
	Partition string
	// Position is the record's in its partition.
	Position int64
	// Where says the same in words.
	Where string
}

// Reader reads the records of one stream.
type Reader interface {
	// Read reads records, has them taken by the consumer, and acknowledges what was taken,
	// until ctx is done and all that was begun is over. It connects by itself, and connects
	// again by itself.
	Read(ctx context.Context, c *Consumer) error
}

// Open makes the reader of a stream. It does not wait for a connection.
type Open func(streams.Config) (Reader, error)

// Parser reads what records hold. A [streams.RejectedError] says that one can never be taken.
type Parser interface {
	ReadRecord(ctx context.Context, tenant string, record streams.Incoming, share bool) (ingest.Arrival, error)
}

// Ingester starts what records ask for.
type Ingester interface {
	AdmitArrivals(ctx context.Context, arrivals []ingest.Arrival) (release func(), err error)
	PlanIntake(ctx context.Context, stream, workflowID string, arrivals []ingest.Arrival) (protocol.IntakeInput, error)
	RunIntake(ctx context.Context, workflowID string, in protocol.IntakeInput) error
	IntakeRecords(ctx context.Context, workflowID string) (positions []int64, found bool, err error)
	IntakeResult(ctx context.Context, workflowID string) (protocol.IntakeResult, error)
}

// DeadLetters publishes what cannot be taken.
type DeadLetters interface {
	Publish(ctx context.Context, stream string, r streams.Record) error
}

// Config is what [Consumers] need.
type Config struct {
	Streams     []streams.Config
	Open        Open
	Parser      Parser
	Ingester    Ingester
	DeadLetters DeadLetters
	// Meter measures them. Nothing is measured where it is nil.
	Meter metric.Meter
	Log   *slog.Logger
	Now   func() time.Time
}

// Consumers consume all streams that are to be consumed.
type Consumers struct {
	all     []*Consumer
	readers []Reader
	log     *slog.Logger
}

// New makes the consumers of these streams.
func New(c Config) (*Consumers, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Consumers{log: c.Log}
	for _, stream := range c.Streams {
		reader, err := c.Open(stream)
		if err != nil {
			return nil, err
		}
		s.readers = append(s.readers, reader)
		s.all = append(s.all, newConsumer(c, stream))
	}
	if err := s.measure(c.Meter); err != nil {
		return nil, err
	}
	return s, nil
}

const (
	// firstPause and lastPause are how long it is waited before something is tried again.
	firstPause, lastPause = 100 * time.Millisecond, 10 * time.Second
	// stoppedPause is the same for a record that cannot be taken, and stops those behind it.
	stoppedPause = 15 * time.Second
	// grace is how long what was begun may take to be done once the process is told to stop.
	grace = 10 * time.Second
)

// Run consumes until ctx is done and all that was begun is over.
func (s *Consumers) Run(ctx context.Context) {
	var running sync.WaitGroup
	for i, reader := range s.readers {
		running.Go(func() { s.read(ctx, reader, s.all[i]) })
	}
	running.Wait()
}

// read reads a stream, again and again where that breaks off.
func (s *Consumers) read(ctx context.Context, reader Reader, c *Consumer) {
	for {
		err := reader.Read(ctx, c)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.Unreached(ctx, err)
		}
		if !wait(ctx, time.Second) {
			return
		}
	}
}

// wait waits, and reports whether ctx still holds.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// lingering is a context that ends a grace after ctx.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() {
		unwatch()
		cancel()
	}
}
