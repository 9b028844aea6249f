package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/protocol"
)

// maxBlocks bounds the blocks that are remembered of a partition: those that lately had records.
const maxBlocks = 16

// partition is what is known of a partition. It is used by one goroutine at a time.
type partition struct{ blocks []*block }

// block is what is known of a block: which of its records are in an Intake. Whoever starts
// the next Intake must know all before it.
type block struct {
	number    int64
	stream    string
	key       string
	intakes   int           // how many are known
	carried   map[int64]int // by position: the number of the Intake
	done      map[int]bool  // Intakes that have started all that they carry
	conflicts map[int64]*streams.RejectedError
}

// block is that of a record.
func (c *Consumer) block(of Record) *block {
	c.mu.Lock()
	l := c.partitions[of.Partition]
	if l == nil {
		l = &partition{}
		c.partitions[of.Partition] = l
	}
	c.mu.Unlock()
	number := of.Position / blockSize
	at := slices.IndexFunc(l.blocks, func(b *block) bool { return b.number == number })
	if at >= 0 {
		return l.blocks[at]
	}
	b := &block{
		number: number, stream: c.stream.Name, key: fmt.Sprintf("%s/%d", of.Partition, number),
		carried: make(map[int64]int), done: make(map[int]bool), conflicts: make(map[int64]*streams.RejectedError),
	}
	l.blocks = append(l.blocks, b)
	if len(l.blocks) > maxBlocks {
		l.blocks = slices.Delete(l.blocks, 0, 1)
	}
	return b
}

// id is the workflow id of an Intake of b.
func (b *block) id(number int) string { return protocol.IntakeID(b.stream, b.key, number) }

// next is that of the next one.
func (b *block) next() string { return b.id(b.intakes) }

// add adds the next Intake, which carries the records at these positions.
func (b *block) add(positions []int64) {
	for _, position := range positions {
		if _, known := b.carried[position]; !known {
			b.carried[position] = b.intakes
		}
	}
	b.intakes++
}

// readRest reads which records the Intakes carry that are not known yet.
func (b *block) readRest(ctx context.Context, from Ingester) error {
	for {
		positions, found, err := from.IntakeRecords(ctx, b.next())
		if err != nil || !found {
			return err
		}
		b.add(positions)
	}
}

// await waits until the Intakes that carry these records have started all that they carry.
func (b *block) await(ctx context.Context, from Ingester, records []Record) error {
	for _, record := range records {
		number, carried := b.carried[record.Position]
		if !carried || b.done[number] {
			continue
		}
		result, err := from.IntakeResult(ctx, b.id(number))
		if errors.Is(err, ingest.ErrIntakeEnded) {
			// Somebody has ended it: what it carries is carried by another one.
			for position, by := range b.carried {
				if by == number {
					delete(b.carried, position)
				}
			}
			return err
		}
		if err != nil {
			return fmt.Errorf("wait for %s: %w", b.id(number), err)
		}
		b.done[number] = true
		for _, conflict := range result.Conflicts {
			b.conflicts[conflict.Position] = &streams.RejectedError{Code: postdate.Conflict, Reason: conflict.Reason}
		}
	}
	return nil
}
