package workflows

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/postdate/postdate/protocol"
)

// queue holds an endpoint's lines in order: the line that waits longest is first. Nothing
// in it costs more with each line that waits, since every event of the execution pays
// that cost again in each replay: lines are found by id in a map, and by place in blocks
// of bounded size, which keep the sums that decisions need.
type queue struct {
	byID    map[string]*queued
	blocks  []*block // in order, none of them empty
	waiting int      // deliveries, in all lines
	arrived int64    // counts the lines that were added
	// woken are the lines that were woken and are expected back, and resting those that
	// were woken in vain just now: each in the order of time.
	woken, resting []*queued
	wokenWaiting   int // deliveries, in woken
	leased         int // deliveries that consumers have leased, in lines that are pulled from
}

// queued is a line in the queue.
type queued struct {
	protocol.QueuedLine

	arrival int64    // orders the lines of one moment
	keys    []string // the keys of endpoint.Latest that name this line
	counted int      // what of waiting it accounts for
	// reserved is how many of its deliveries consumers are about to take.
	reserved int
}

// maxBlock bounds the lines of a block. With it a queue of 10,000 lines has about 150
// blocks, so that a change looks at no more than about as many lines and blocks.
const maxBlock = 128

// block is a run of consecutive lines.
type block struct {
	lines   []*queued
	waiting int
	expires int64 // the earliest of its lines' Expires: 0 where none expires
}

// newQueue makes a queue of the lines that an earlier run left, in their order.
func newQueue(lines []protocol.QueuedLine, now time.Time) *queue {
	q := &queue{byID: make(map[string]*queued, len(lines))}
	for _, line := range lines {
		q.insert(line)
	}
	byTime := func(at func(*queued) int64) func(a, b *queued) int {
		return func(a, b *queued) int { return cmp.Compare(at(a), at(b)) }
	}
	for line := range q.all() {
		switch {
		case line.Called > 0:
			q.woken = append(q.woken, line)
			q.wokenWaiting += line.counted
		case line.Rest > 0:
			q.resting = append(q.resting, line)
		}
	}
	slices.SortStableFunc(q.woken, byTime(func(l *queued) int64 { return l.Called }))
	slices.SortStableFunc(q.resting, byTime(func(l *queued) int64 { return l.Rest }))
	q.expireWakes(now)
	return q
}

func (q *queue) len() int { return len(q.byID) }

// all yields the lines in order.
func (q *queue) all() func(yield func(*queued) bool) {
	return func(yield func(*queued) bool) {
		for _, b := range q.blocks {
			for _, line := range b.lines {
				if !yield(line) {
					return
				}
			}
		}
	}
}

// snapshot is what the next run is started with.
func (q *queue) snapshot() []protocol.QueuedLine {
	lines := make([]protocol.QueuedLine, 0, q.len())
	for line := range q.all() {
		lines = append(lines, line.QueuedLine)
	}
	return lines
}

// first is the line that waits longest. The queue must not be empty.
func (q *queue) first() *queued { return q.blocks[0].lines[0] }

// insert adds a line behind those that wait as long.
func (q *queue) insert(l protocol.QueuedLine) *queued {
	q.arrived++
	line := &queued{QueuedLine: l, arrival: q.arrived}
	line.counted = line.remaining()
	q.leased += l.Leased
	q.byID[l.ID] = line
	q.waiting += line.counted
	if len(q.blocks) == 0 {
		q.blocks = []*block{{}}
	}
	at := q.blockOf(line)
	b := q.blocks[at]
	place := b.find(line)
	b.lines = slices.Insert(b.lines, place, line)
	if len(b.lines) > maxBlock {
		half := &block{lines: slices.Clone(b.lines[maxBlock/2:])}
		half.sum()
		clear(b.lines[maxBlock/2:])
		b.lines = b.lines[:maxBlock/2]
		q.blocks = slices.Insert(q.blocks, at+1, half)
	}
	b.sum()
	return line
}

// remove takes a line out of the queue.
func (q *queue) remove(line *queued) {
	q.settle(line)
	delete(q.byID, line.ID)
	q.waiting -= line.counted
	q.leased -= line.Leased
	at := q.blockOf(line)
	b := q.blocks[at]
	place := b.find(line)
	b.lines = slices.Delete(b.lines, place, place+1)
	if len(b.lines) == 0 {
		q.blocks = slices.Delete(q.blocks, at, at+1)
		return
	}
	b.sum()
}

// wake marks a line as woken.
func (q *queue) wake(line *queued, now time.Time) {
	q.settle(line)
	line.Called = now.UnixMilli()
	q.woken = append(q.woken, line)
	q.wokenWaiting += line.counted
}

// restore marks a line that was inserted again as woken or resting, as it says itself.
func (q *queue) restore(line *queued) {
	switch {
	case line.Called > 0:
		at, _ := slices.BinarySearchFunc(q.woken, line.Called+1, func(l *queued, at int64) int { return cmp.Compare(l.Called, at) })
		q.woken = slices.Insert(q.woken, at, line)
		q.wokenWaiting += line.counted
	case line.Rest > 0:
		q.resting = append(q.resting, line)
	}
}

// settle takes a line out of woken and resting. The lines that are woken at one time are
// bounded by maxWoken, and those that rest by how many come back within restTime.
func (q *queue) settle(line *queued) {
	switch {
	case line.Called > 0:
		if at := slices.Index(q.woken, line); at >= 0 {
			q.woken = slices.Delete(q.woken, at, at+1)
			q.wokenWaiting -= line.counted
		}
	case line.Rest > 0:
		if at := slices.Index(q.resting, line); at >= 0 {
			q.resting = slices.Delete(q.resting, at, at+1)
		}
	}
}

// expireWakes ends the wakes of lines that did not come back, and the rests that are over.
func (q *queue) expireWakes(now time.Time) {
	for len(q.woken) > 0 && !isWoken(q.woken[0].QueuedLine, now) {
		q.wokenWaiting -= q.woken[0].counted
		q.woken[0].Called = 0
		q.woken[0] = nil
		q.woken = q.woken[1:]
	}
	for len(q.resting) > 0 && q.resting[0].Rest <= now.UnixMilli() {
		q.resting[0].Rest = 0
		q.resting[0] = nil
		q.resting = q.resting[1:]
	}
}

// supersede marks the message at place of a line as superseded.
func (q *queue) supersede(line *queued, place int) {
	line.Old = line.Old.Add(place)
	q.recount(line)
}

// report enters what a line reports that is pulled from.
func (q *queue) report(line *queued, status protocol.LineStatus) {
	next := queuedLine(status)
	next.Since, next.Old = line.Since, line.Old
	q.leased += next.Leased - line.Leased
	line.QueuedLine = next
	q.recount(line)
	q.blocks[q.blockOf(line)].sum() // its first expiry may have changed
}

// available yields the lines that consumers can take deliveries from, in order.
func (q *queue) available() func(yield func(*queued) bool) {
	return func(yield func(*queued) bool) {
		for _, b := range q.blocks {
			if b.waiting == 0 {
				continue
			}
			for _, line := range b.lines {
				if line.counted > 0 && !yield(line) {
					return
				}
			}
		}
	}
}

// recount corrects what a line accounts for.
func (q *queue) recount(line *queued) {
	left := line.remaining()
	fewer := line.counted - left
	if fewer == 0 {
		return
	}
	line.counted = left
	q.waiting -= fewer
	if line.Called > 0 {
		q.wokenWaiting -= fewer
	}
	q.blocks[q.blockOf(line)].sum()
}

// ahead is the number of deliveries in the lines before this one.
func (q *queue) ahead(line *queued) (n int) {
	at := q.blockOf(line)
	for _, b := range q.blocks[:at] {
		n += b.waiting
	}
	b := q.blocks[at]
	for _, earlier := range b.lines[:b.find(line)] {
		n += earlier.counted
	}
	return n
}

// late reports whether a line expires before drained says that it is sent, or the last one
// is sent after latest. It looks into a block only where the block's sums do not decide.
func (q *queue) late(drained func(ahead int) time.Time, latest time.Time) bool {
	ahead := 0
	for _, b := range q.blocks {
		last := drained(ahead + b.waiting)
		if last.After(latest) {
			return true
		}
		if b.expires > 0 && last.UnixMilli() > b.expires {
			sum := ahead
			for _, line := range b.lines {
				if sum += line.counted; line.Expires > 0 && drained(sum).UnixMilli() > line.Expires {
					return true
				}
			}
		}
		ahead += b.waiting
	}
	return false
}

// at is the i-th line.
func (q *queue) at(i int) (*queued, bool) {
	for _, b := range q.blocks {
		if i < len(b.lines) {
			return b.lines[i], true
		}
		i -= len(b.lines)
	}
	return nil, false
}

// blockOf is the index of the block that holds the line, or is to hold it.
func (q *queue) blockOf(line *queued) int {
	after := sort.Search(len(q.blocks), func(i int) bool {
		return len(q.blocks[i].lines) > 0 && line.before(q.blocks[i].lines[0])
	})
	return max(0, after-1)
}

// find is the place of the line in b, or the place for it.
func (b *block) find(line *queued) int {
	return sort.Search(len(b.lines), func(i int) bool { return !b.lines[i].before(line) })
}

// sum computes b's sums.
func (b *block) sum() {
	b.waiting, b.expires = 0, 0
	for _, line := range b.lines {
		b.waiting += line.counted
		if line.Expires > 0 && (b.expires == 0 || line.Expires < b.expires) {
			b.expires = line.Expires
		}
	}
}

func (l *queued) before(other *queued) bool {
	return cmp.Or(cmp.Compare(l.Since, other.Since), cmp.Compare(l.arrival, other.arrival)) < 0
}

// isWoken reports whether l was woken and is expected back.
func isWoken(l protocol.QueuedLine, now time.Time) bool {
	return l.Called > 0 && now.Sub(time.UnixMilli(l.Called)) < wakeTimeout
}

// remaining is about how many deliveries of l will need a permit, or of a line that is
// pulled from, how many consumers can take.
func (l *queued) remaining() int {
	if l.Version > 0 {
		return max(0, l.Open.Count(l.Old)-l.reserved)
	}
	return max(1, l.Waiting-l.Old.Count(nil))
}
