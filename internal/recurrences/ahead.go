package recurrences

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

const (
	// maxLead is how long before a tick its delivery is started at most, and minLead how
	// much before it has to be worth it.
	maxLead = 15 * time.Minute
	minLead = time.Second
)

// schedule is a recurrence that waits for its next tick.
type schedule struct{ protocol.RecurrenceInput }

// startAt is when the delivery of a tick is started: ahead of it, as far as that is the
// same to everybody. Of thousands with the same tick each has a moment of its own, so that
// all that is left to do when it is due is to wake the deliveries.
//
// Not ahead is what may turn out otherwise when it is due: whether an earlier delivery
// stands in its way, whether it was missed, whether it is paused.
func (s schedule) startAt(tick postdate.Tick) time.Time {
	r := s.Recurrence
	lead := min(maxLead, tick.DueAt.Sub(s.Passed.DueAt)/2)
	switch {
	case lead < minLead, s.Pause != nil,
		r.Overlap != "" && r.Overlap != postdate.OverlapAllow,
		r.CatchUp != nil && (r.CatchUp.Within != nil || r.CatchUp.Mode != "" && r.CatchUp.Mode != postdate.CatchUpAll):
		return tick.DueAt
	}
	sum := sha256.Sum256([]byte(protocol.RecurrenceID(s.Tenant(), s.ID)))
	part := float64(binary.BigEndian.Uint32(sum[:4])) / (1 << 32)
	// The last quarter is left to those that are late.
	return tick.DueAt.Add(-time.Duration((0.25 + 0.75*part) * float64(lead)))
}

// endAt is when a recurrence ends whose last tick has its delivery already: as long after the
// tick as that was started before it. Until then it can be changed, and the tick itself is
// left to the deliveries.
func (s schedule) endAt() time.Time {
	last := s.Ahead.Tick
	s.Passed = s.Ahead.Before
	return last.DueAt.Add(last.DueAt.Sub(s.startAt(last)))
}

// wakeAt is when to wake for a tick: when its delivery is to be started, or before, where a
// change of the law could move it.
func (s schedule) wakeAt(tick postdate.Tick, now time.Time) time.Time {
	at := s.startAt(tick)
	if s.Recurrence.Every != nil || s.Recurrence.Zone() == time.UTC.String() {
		return at
	}
	if early := protocol.WakeAt(tick.DueAt, now); early.Before(at) {
		return early
	}
	return at
}
