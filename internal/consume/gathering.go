package consume

import (
	"context"
	"time"
)

const (
	// gatherInterval is the shortest time between two batches of a partition of which the
	// first was not full. An Intake costs about as much for one record as for a hundred.
	gatherInterval = 100 * time.Millisecond
	// fullBatch is how many records at once need not wait for others, where brokers give so
	// many.
	fullBatch = 64
)

// Gathering has records of a partition gather while few come. What comes after a pause does
// not wait. The zero value is ready to use.
type Gathering struct {
	// Most is how many records the broker gives at once at most: 0 where it gives many.
	Most int

	began   time.Time
	records int
}

// Wait waits until the next batch may begin, or ctx is done.
func (g *Gathering) Wait(ctx context.Context) {
	full := fullBatch
	if g.Most > 0 {
		full = min(full, g.Most)
	}
	if left := gatherInterval - time.Since(g.began); left > 0 && g.records < full {
		wait(ctx, left)
	}
}

// Begin notes that a batch of so many records begins.
func (g *Gathering) Begin(records int) { g.began, g.records = time.Now(), records }
