package ingest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postdate/postdate/protocol"
)

// Line is a schedule that stands in a line of an import, or of a batch with an
// Idempotency-Key, and has no id of its own.
type Line struct {
	Unnamed

	// Number is the line's, from 1.
	Number int
	// Refused is why it is not taken now. It may have been taken before.
	Refused error
}

// ImportedLine is the result for one line.
type ImportedLine struct {
	ID string
	// Exists: it was created before, by a request like this one. Otherwise it was now.
	Exists bool
	// Late is how long after it is due it is to start, as one of a burst, where it was created
	// now.
	Late time.Duration
	// Changed: something else was created before from the line of this number.
	Changed bool
	// Err is why it is not there.
	Err error
}

// Import is what lines of an import have in common.
type Import struct {
	tenant, base string
	aged         bool
	// repeated: the group that was met last was there before. So the next one is looked for
	// before it is started.
	repeated atomic.Bool
}

// NewImport is an import of a tenant: the ids of its lines follow from base and from their
// numbers. It is aged where some of its executions were started so long ago that others may
// have been deleted by now.
func NewImport(tenant, base string, aged bool) *Import {
	return &Import{tenant: tenant, base: base, aged: aged}
}

// Base is what the ids of its lines follow from.
func (i *Import) Base() string { return i.base }

// ImportSpan is up to [protocol.ImportSpan] lines of an import, and what is known of the
// executions that carry them. It is safe for concurrent use.
//
// The groups of a span are a chain: a line is in the first of them that has it, and a group
// is started only where all before it exist and do not have its lines. What a group was
// started with never changes. So whoever walks along the chain from its beginning, at
// whatever time, with whichever of the lines, finds each line that is there, and makes none
// twice: of two that start the same group at once one does, and the other reads it.
//
// A group is deleted some time after it has ended, and others of its span may sleep for
// longer. So of an import that is old enough for that, all groups that a span can have are
// looked for before one is started where none is found.
type ImportSpan struct {
	*Import

	number int

	mu       sync.Mutex
	groups   int                   // how many groups of the chain are known
	searched bool                  // all that there can be were looked for
	known    map[int]*importedLine // by line
}

// importedLine is where a line was found.
type importedLine struct {
	id, digest string
	created    bool // by this process, for a caller who does not know yet
	late       time.Duration
}

// NewImportSpan is the span of the line of that number.
func NewImportSpan(of *Import, line int) *ImportSpan {
	return &ImportSpan{Import: of, number: SpanOf(line), known: make(map[int]*importedLine)}
}

// SpanOf is the number of the span of a line.
func SpanOf(line int) int { return (line - 1) / protocol.ImportSpan }

// AcceptLines starts executions for lines of a span, as few as can be, where they are not
// there already. It returns once they are durable, with a result for each in its place.
// Quotas and a backlog refuse what is not there yet, as with [Ingester.Accept].
func (i *Ingester) AcceptLines(ctx context.Context, span *ImportSpan, lines []Line) []ImportedLine {
	span.mu.Lock()
	defer span.mu.Unlock()
	w := &walk{Ingester: i, ImportSpan: span, refused: make(map[int]error)}
	var err error
	for open := span.unknown(lines); len(open) > 0 && err == nil; open = span.unknown(open) {
		var more bool
		if more, err = w.next(ctx, open); !more {
			break
		}
	}
	results := make([]ImportedLine, len(lines))
	for n, line := range lines {
		known := span.known[line.Number]
		switch {
		case known != nil:
			results[n] = ImportedLine{ID: known.id, Exists: !known.created, Changed: known.digest != line.Accepted.Digest, Late: known.late}
			known.created = false
		case err != nil:
			results[n].Err = err
		default:
			results[n].Err = w.refused[line.Number]
		}
	}
	return results
}

// unknown are the lines of which it is not known where they are.
func (s *ImportSpan) unknown(lines []Line) []Line {
	var unknown []Line
	for _, line := range lines {
		if s.known[line.Number] == nil {
			unknown = append(unknown, line)
		}
	}
	return unknown
}

// group is the id of a group of the span.
func (s *ImportSpan) group(number int) string {
	return protocol.ImportedGroup(s.tenant, s.base, s.number, number)
}
