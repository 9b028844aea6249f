package importer

import (
	"context"
	"slices"
	"sync"
)

// pending is the lines that were sent, or are to be sent again, and not answered yet.
type pending struct {
	mu    sync.Mutex
	lines map[int]Line
	bytes int
	// changed wakes who waits for room.
	changed chan struct{}
}

func newPending() *pending {
	return &pending{lines: make(map[int]Line), changed: make(chan struct{}, 1)}
}

func (p *pending) empty() bool { return p.len() == 0 }

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// sorted is all of them, in their order.
func (p *pending) sorted() []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Line, 0, len(p.lines))
	for _, line := range p.lines {
		all = append(all, line)
	}
	slices.SortFunc(all, func(a, b Line) int { return a.Number - b.Number })
	return all
}

func (p *pending) add(line Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines[line.Number] = line
	p.bytes += len(line.Text)
}

// get returns a line that is pending.
func (p *pending) get(number int) (Line, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line, ok := p.lines[number]
	return line, ok
}

// remove removes a line that was answered.
func (p *pending) remove(line Line) {
	p.mu.Lock()
	delete(p.lines, line.Number)
	p.bytes -= len(line.Text)
	p.mu.Unlock()
	p.wake()
}

// wake wakes who waits for room.
func (p *pending) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *pending) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines) >= maxPendingLines || p.bytes >= maxPendingBytes
}

// awaitRoom waits until there is room for another line, or none is to be sent any more.
func (p *pending) awaitRoom(ctx context.Context, stopped func() bool) error {
	for p.full() && !stopped() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.changed:
		}
	}
	return nil
}

// feed reads a source ahead, so that it can be waited for.
type feed struct {
	lines chan fed
	stop  context.CancelFunc
	next  *fed
}

// fed is a line of the source, or why none follows.
type fed struct {
	line Line
	err  error
}

func newFeed(ctx context.Context, source Source) *feed {
	ctx, stop := context.WithCancel(ctx)
	f := &feed{lines: make(chan fed, 256), stop: stop}
	go func() {
		for {
			line, err := source.Next()
			select {
			case <-ctx.Done():
				return
			case f.lines <- fed{line, err}:
			}
			if err != nil {
				return
			}
		}
	}()
	return f
}

func (f *feed) close() { f.stop() }

// ready reports whether peek waits for nothing.
func (f *feed) ready() bool { return f.next != nil || len(f.lines) > 0 }

// peek waits for the next line, and leaves it there.
func (f *feed) peek(ctx context.Context) (Line, error) {
	if f.next == nil {
		select {
		case <-ctx.Done():
			return Line{}, ctx.Err()
		case next := <-f.lines:
			f.next = &next
		}
	}
	return f.next.line, f.next.err
}

// take takes the line that peek has returned. What ends the source stays.
func (f *feed) take() { f.next = nil }
