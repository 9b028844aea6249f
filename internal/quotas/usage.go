package quotas

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// countAge is from which age on a count is repeated, and maxCountAge the same where
	// counting takes long: it may take a fiftieth of the time.
	countAge, maxCountAge = 10 * time.Second, 10 * time.Minute
	countShare            = 50
	// refusalAge is how old a count may be by which a tenant is refused, or one that is
	// shown.
	refusalAge   = time.Second
	refusalShare = 10
	// countTimeout bounds how long a count may take.
	countTimeout = 5 * time.Second
	// countLag is how far a count may be behind.
	countLag = 2 * time.Second
	// recentStep is the precision of what is remembered of the last countLag.
	recentStep = 250 * time.Millisecond
)

// usage is what a tenant uses.
type usage struct {
	mu    sync.Mutex
	total Amount
	// recent is what this process accepted lately, which the next count may be without.
	recent    []accepted
	countedAt time.Time // when the last count began that succeeded: zero where none has
	triedAt   time.Time // when the last count began
	took      time.Duration
	usedAt    time.Time
	counting  *flight
}

// accepted is what was accepted at about a time.
type accepted struct {
	at time.Time
	Amount
}

// flight is a count that is under way.
type flight struct {
	done chan struct{}
	err  error
}

// state says what is known of a tenant's use.
type state int

const (
	known   state = iota
	old           // it is to be counted again, which nobody does yet, and known well enough until then
	unknown       // it was never counted
)

func (u *usage) state(now time.Time) state {
	u.mu.Lock()
	defer u.mu.Unlock()
	again := now.Sub(u.triedAt) >= min(maxCountAge, max(countAge, countShare*u.took))
	switch {
	case !again:
		return known
	case u.countedAt.IsZero():
		return unknown
	case u.counting != nil:
		return known
	default:
		return old
	}
}

// mayRecount reports whether it may be counted again already, since the answer matters.
func (u *usage) mayRecount(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.Sub(u.triedAt) >= max(refusalAge, refusalShare*u.took) || u.countedAt.IsZero()
}

// begin begins a count, or returns the one that is under way.
func (u *usage) begin(count func() error) *flight {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counting != nil {
		return u.counting
	}
	f := &flight{done: make(chan struct{})}
	u.counting = f
	go func() {
		f.err = count()
		u.mu.Lock()
		u.counting = nil
		u.mu.Unlock()
		close(f.done)
	}()
	return f
}

// wait waits for the end of a count.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// correct replaces what is known by a count. The tenant uses what was counted at least, and
// at most what is recent besides.
func (u *usage) correct(counted Amount, began time.Time, took time.Duration, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.triedAt, u.took = began, took
	if err != nil {
		return
	}
	var recent Amount
	for _, a := range u.recent {
		if began.Sub(a.at) <= countLag+recentStep {
			recent = recent.plus(a.Amount)
		}
	}
	most := counted.plus(Amount{max(0, recent.Messages), max(0, recent.Bytes)})
	u.total = Amount{
		min(max(u.total.Messages, counted.Messages), most.Messages),
		min(max(u.total.Bytes, counted.Bytes), most.Bytes),
	}
	u.countedAt = began
}

// with is what the tenant uses, and an amount more.
func (u *usage) with(more Amount) Amount {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total.plus(more)
}

// add adds an amount, unless it is refused.
func (u *usage) add(amount Amount, now time.Time, refusal func(Amount) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.countedAt.IsZero() {
		if err := refusal(u.total.plus(amount)); err != nil {
			return err
		}
	}
	u.total = u.total.plus(amount)
	u.remember(amount, now)
	return nil
}

// remove removes an amount that was added and is not kept.
func (u *usage) remove(amount Amount, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.total = u.total.minus(amount)
	u.remember(Amount{-amount.Messages, -amount.Bytes}, now)
}

// remember remembers what was accepted for as long as a count may be without it.
func (u *usage) remember(amount Amount, now time.Time) {
	if last := len(u.recent) - 1; last >= 0 && now.Sub(u.recent[last].at) < recentStep {
		u.recent[last].Amount = u.recent[last].plus(amount)
		return
	}
	// A count takes as long as it takes, and may be without what came before it began.
	oldest := now.Add(-countLag - recentStep - countTimeout)
	u.recent = append(slices.DeleteFunc(u.recent, func(a accepted) bool { return a.at.Before(oldest) }), accepted{now, amount})
}

func (u *usage) touch(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.usedAt = now
}

func (u *usage) isIdle(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.Sub(u.usedAt) > idle
}
