package pacer

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// slotShare bounds what one tenant holds of a process's slots: another slot is for a
// tenant only while it holds fewer than slotShare times as many as are free. So one tenant
// alone has at most three quarters of them, two have three sevenths each, and however
// many want all they can get, some are free for a tenant that has none.
const slotShare = 3

// slots bounds the attempts in flight in this process, at all endpoints and urls together.
type slots struct {
	total int
	now   func() time.Time

	mu      sync.Mutex
	free    int
	tenants map[string]*tenantSlots
	waiting list.List // of *tenantSlots that have waiters: served one after another
}

// tenantSlots is what a tenant holds of the slots, and waits for.
type tenantSlots struct {
	name    string
	used    int
	inPlace int       // requests that wait for a permit, and hold no slot yet
	waiters list.List // of *slotWaiter, first come first served
	turn    *list.Element
	// held is about how long an attempt holds its slot.
	held time.Duration
	// progressAt is when it gave a slot back last, or took the first of those that it holds.
	progressAt time.Time
	schedule   schedule
}

type slotWaiter struct {
	n     int
	ready chan struct{} // closed once it has its slots
}

func newSlots(total int, now func() time.Time) *slots {
	return &slots{total: total, free: total, now: now, tenants: make(map[string]*tenantSlots)}
}

// acquire takes n slots for a tenant, all at once, and waits for them for maxWait at most.
// Where none come so soon it returns when to ask again. Waiters that are not patient do
// not wait behind many others.
func (s *slots) acquire(ctx context.Context, tenant string, n int, maxWait time.Duration, patient bool) error {
	s.mu.Lock()
	t := s.tenant(tenant)
	if t.waiters.Len() == 0 && s.fits(t.used, s.free, n) {
		s.take(t, n)
		s.mu.Unlock()
		return nil
	}
	tooMany := !patient && t.waiters.Len() >= s.maxWaiting()
	if tooMany || maxWait <= 0 || !s.fits(0, s.total, n) {
		defer s.mu.Unlock()
		return s.refuse(t)
	}
	w := &slotWaiter{n: n, ready: make(chan struct{})}
	place := t.waiters.PushBack(w)
	if t.turn == nil {
		t.turn = s.waiting.PushBack(t)
	}
	s.mu.Unlock()

	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	var err error
	select {
	case <-w.ready:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.ready: // just now
		if err == nil {
			return nil
		}
		s.put(t, n)
		return err
	default:
	}
	t.waiters.Remove(place)
	s.leave(t)
	s.serve() // who waited behind it may fit
	if err != nil {
		return err
	}
	return s.refuse(t)
}

// beginWait reports whether one more request of a tenant may wait in place for a permit,
// at whatever endpoint. [slots.endWait] ends its wait.
func (s *slots) beginWait(tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(tenant)
	if t.inPlace >= s.maxWaiting() {
		return false
	}
	t.inPlace++
	return true
}

func (s *slots) endWait(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(tenant)
	t.inPlace--
	s.leave(t)
}

// maxWaiting bounds the requests of one tenant that wait, since each holds an execution.
func (s *slots) maxWaiting() int { return max(maxLocalWaiters, s.total/10) }

func (s *slots) tenant(name string) *tenantSlots {
	t := s.tenants[name]
	if t == nil {
		t = &tenantSlots{name: name}
		s.tenants[name] = t
	}
	return t
}

// release gives a slot back that was held for so long.
func (s *slots) release(tenant string, held time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	t.held = averageOf(t.held, held)
	s.put(t, 1)
}

// fits reports whether a tenant that holds used slots may take n of the free ones.
func (*slots) fits(used, free, n int) bool {
	return n <= free && used+n <= slotShare*(free-n+1)
}

func (s *slots) take(t *tenantSlots, n int) {
	if t.used == 0 {
		t.progressAt = s.now()
	}
	t.used, s.free = t.used+n, s.free-n
}

func (s *slots) put(t *tenantSlots, n int) {
	t.used, s.free, t.progressAt = t.used-n, s.free+n, s.now()
	s.serve()
	s.leave(t)
}

// serve gives free slots to the tenants that wait, one request of each after another.
func (s *slots) serve() {
	for missed := 0; missed < s.waiting.Len(); {
		turn := s.waiting.Front()
		t := turn.Value.(*tenantSlots) //nolint:forcetypeassert // nothing else is in it
		first := t.waiters.Front()
		w := first.Value.(*slotWaiter) //nolint:forcetypeassert // nothing else is in it
		if !s.fits(t.used, s.free, w.n) {
			s.waiting.MoveToBack(turn)
			missed++
			continue
		}
		missed = 0
		s.take(t, w.n)
		t.waiters.Remove(first)
		close(w.ready)
		s.waiting.MoveToBack(turn)
		s.leave(t)
	}
}

// leave takes a tenant without waiters out of the round, and forgets one that has nothing.
func (s *slots) leave(t *tenantSlots) {
	if t.waiters.Len() > 0 {
		return
	}
	if t.turn != nil {
		s.waiting.Remove(t.turn)
		t.turn = nil
	}
	if t.used == 0 && t.inPlace == 0 {
		delete(s.tenants, t.name)
	}
}

// refuse returns when to ask again.
func (s *slots) refuse(t *tenantSlots) error {
	defer s.leave(t)
	now, stalled := s.now(), time.Duration(0)
	if t.used > 0 {
		stalled = now.Sub(t.progressAt)
	}
	return t.schedule.refuse(now, t.held, stalled, max(1, t.used),
		"this process has as many attempts under way for the tenant as it may")
}
