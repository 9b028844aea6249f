package apiserver

import (
	"sync"
	"time"

	"github.com/postdate/postdate/internal/ingest"
)

const (
	// A chunk of lines is created together and answered together.
	maxChunkLines, maxChunkBytes = 100, maxBody
	// maxChunks is how many chunks are created, or wait to be answered, at once: with their
	// sizes it bounds the memory that an import takes.
	maxChunks = 4
	// maxOpen is how many chunks may be under way: those that wait, the one that is written,
	// and the one that waits to wait.
	maxOpen = maxChunks + 2
	// chunkLinger is how long a chunk waits for a line that is on its way: parts of a stream end
	// in the middle of lines. It costs a slow client so much, and an execution less.
	chunkLinger = 5 * time.Millisecond
	// maxOpenIDs bounds the ids that are remembered so that two lines with the same one are
	// created one after the other.
	maxOpenIDs = 10_000
)

// chunk is some lines of an import.
type chunk struct {
	numbers   []int
	schedules []newSchedule
	size      int
	done      chan struct{}
}

// isFull reports whether the line of that number is of another chunk.
func (c *chunk) isFull(number int) bool {
	return len(c.numbers) == maxChunkLines || c.size > maxChunkBytes ||
		len(c.numbers) > 0 && ingest.SpanOf(c.numbers[0]) != ingest.SpanOf(number)
}

// begin has a chunk created, once there is room for it.
func (i *importStream) begin(c *chunk, chunks chan<- *chunk) {
	c.done = make(chan struct{})
	chunks <- c
	go func() {
		defer close(c.done)
		if i.dryRun {
			i.check(c.schedules)
			return
		}
		i.server.createMany(i.ctx, c.schedules)
	}()
}

// chunker gathers the lines of an import into chunks. One goroutine adds them; a timer may
// flush meanwhile.
type chunker struct {
	*importStream

	chunks chan<- *chunk

	mu   sync.Mutex
	next *chunk
	open []*chunk // those that may be under way
	ids  map[string]bool
}

// nextLine reads the next line. The lines before it wait for it no longer than chunkLinger.
func (c *chunker) nextLine(lines *lineReader) ([]byte, error) {
	if !lines.ready() {
		soon := time.AfterFunc(chunkLinger, c.flush)
		defer soon.Stop()
	}
	return lines.next()
}

// add adds a line, of so many bytes.
func (c *chunker) add(schedule newSchedule, number, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next.isFull(number) {
		c.send()
	}
	if id := schedule.body.ID; id != "" {
		if c.ids[id] { // the line before comes first
			c.settle()
		}
		c.ids[id] = true
	}
	c.next.numbers, c.next.schedules, c.next.size = append(c.next.numbers, number), append(c.next.schedules, schedule), c.next.size+size
	c.open = c.open[max(0, len(c.open)-maxOpen):]
	if len(c.ids) > maxOpenIDs {
		c.settle()
	}
}

// flush has what was added created.
func (c *chunker) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.send()
}

// send has the next chunk created, where it has any lines.
func (c *chunker) send() {
	if len(c.next.numbers) > 0 {
		c.open = append(c.open, c.next)
		c.begin(c.next, c.chunks)
		c.next = new(chunk)
	}
}

// settle waits until all that was added is created.
func (c *chunker) settle() {
	c.send()
	for _, open := range c.open {
		<-open.done
	}
	c.open = nil
	clear(c.ids)
}
