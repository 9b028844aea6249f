package receiver

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// NoTx is the transaction of a store that has none.
type NoTx struct{}

// MemoryStore keeps marks in the memory of one process: for tests, and for work
// that may be done again after a restart. What a function did before it failed is
// not rolled back.
type MemoryStore struct {
	limit   int
	running inFlight

	mu    sync.Mutex
	marks map[string]*list.Element
	order list.List // of memoryMark, the oldest first
}

type memoryMark struct {
	id           string
	at           time.Time
	rescheduleTo time.Time
}

// InMemory makes a store that keeps the newest limit marks. A copy of a message
// whose mark is older than these is handled again. A mark takes about 300 bytes.
func InMemory(limit int) *MemoryStore {
	return &MemoryStore{limit: limit, marks: map[string]*list.Element{}}
}

// Once is the method of [Store].
func (s *MemoryStore) Once(ctx context.Context, id string, sentAt time.Time, work Work[NoTx]) (Mark, error) {
	release, err := s.running.acquire(ctx, id)
	if err != nil {
		return Mark{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	defer release()
	if mark, found := s.find(id); found && !due(mark.rescheduleTo, sentAt) {
		return Mark{Duplicate: true, RescheduleTo: mark.rescheduleTo}, nil
	}
	if err := ctx.Err(); err != nil {
		return Mark{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	to, err := work(ctx, NoTx{})
	if err != nil {
		return Mark{}, err
	}
	s.keep(memoryMark{id: id, at: time.Now(), rescheduleTo: to})
	return Mark{RescheduleTo: to}, nil
}

// Prune forgets the marks older than olderThan; 0 stands for [DefaultKeep]. It
// returns how many there were.
func (s *MemoryStore) Prune(_ context.Context, olderThan time.Duration) (int64, error) {
	from, err := keepFrom(olderThan)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var pruned int64
	for element := s.order.Front(); element != nil; {
		mark, next := markIn(element), element.Next()
		if mark.at.Before(from) && mark.rescheduleTo.Before(from) {
			s.remove(element)
			pruned++
		}
		element = next
	}
	return pruned, nil
}

func (s *MemoryStore) find(id string) (memoryMark, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element, found := s.marks[id]
	if !found {
		return memoryMark{}, false
	}
	return markIn(element), true
}

func (s *MemoryStore) keep(mark memoryMark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, found := s.marks[mark.id]; found {
		s.remove(before)
	}
	s.marks[mark.id] = s.order.PushBack(mark)
	for s.order.Len() > s.limit {
		s.remove(s.order.Front())
	}
}

func (s *MemoryStore) remove(element *list.Element) {
	delete(s.marks, markIn(element).id)
	s.order.Remove(element)
}

func (s *MemoryStore) validate() error {
	if s.limit < 1 {
		return errors.New("InMemory: the limit must be at least 1")
	}
	return nil
}

func markIn(element *list.Element) memoryMark { return element.Value.(memoryMark) } //nolint:forcetypeassert // the list holds nothing else

// due reports whether a message that is needed again at to was sent for that time.
func due(to, sentAt time.Time) bool { return !to.IsZero() && !sentAt.Before(to) }
