package consume

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/streams"
)

// State is how the consuming of a stream goes.
type State = postdate.ConsumptionState

// The states, as a process sees them.
const (
	Reading     = postdate.ConsumptionReading
	Slowed      = postdate.ConsumptionSlowed
	Stopped     = postdate.ConsumptionStopped
	Unreachable = postdate.ConsumptionUnreachable
)

// Status is how the consuming of a stream goes, as this process sees it.
type Status struct {
	Name  string
	Kind  postdate.StreamKind
	State State
	// Reason says why it does not go on.
	Reason string
	// Lag is how many records wait to be taken: -1 where that is not known.
	Lag int64
	// Accepted and Rejected are how many records this process has taken since it started,
	// and PerSecond how many a second in the last ten.
	Accepted, Rejected int64
	PerSecond          float64
	// LastError is what went wrong last, and LastErrorAt when.
	LastError   string
	LastErrorAt time.Time
}

// window is over how many seconds a rate is measured.
const window = 10

// status counts for a [Status].
type status struct {
	now func() time.Time

	mu     sync.Mutex
	state  State
	reason string
	// held are the partitions that do not go on, and why.
	held               map[string]hold
	lags               map[string]int64
	accepted, rejected int64
	seconds            [window + 1]struct{ unix, taken int64 }
	failure            string
	failedAt           time.Time
}

// hold is why a partition does not go on.
type hold struct {
	state  State // Slowed or Stopped
	reason string
}

func newStatus(now func() time.Time) status {
	return status{now: now, state: postdate.ConsumptionUnknown, held: make(map[string]hold), lags: make(map[string]int64)}
}

// set sets the state, and reports whether it was another one.
func (s *status) set(state State, reason string) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = s.state != state || s.reason != reason
	s.state, s.reason = state, reason
	return changed
}

// hold notes why a partition does not go on, and reports whether that is new.
func (s *status) hold(partition string, why hold) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = s.held[partition] != why
	s.held[partition] = why
	return changed
}

// goOn notes that a partition goes on.
func (s *status) goOn(partition string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.reason = Reading, ""
	delete(s.held, partition)
}

// worst is the state of the stream: of its partitions that of the one that is worst off.
func (s *status) worst() (state State, reason string) {
	state, reason = s.state, s.reason
	if state == Unreachable {
		return state, reason
	}
	for _, partition := range slices.Sorted(maps.Keys(s.held)) {
		if held := s.held[partition]; state != Stopped && state != held.state {
			state, reason = held.state, held.reason
		}
	}
	return state, reason
}

// fail notes what went wrong last.
func (s *status) fail(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure, s.failedAt = what, s.now().UTC()
}

// count counts records that were taken.
func (s *status) count(accepted, rejected int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted += int64(accepted)
	s.rejected += int64(rejected)
	unix := s.now().Unix()
	second := &s.seconds[unix%int64(len(s.seconds))]
	if second.unix != unix {
		second.unix, second.taken = unix, 0
	}
	second.taken += int64(accepted + rejected)
}

// perSecond is how many records were taken per second, in the seconds that are over.
func (s *status) perSecond() float64 {
	taken, unix := int64(0), s.now().Unix()
	for _, second := range s.seconds {
		if second.unix < unix && second.unix >= unix-window {
			taken += second.taken
		}
	}
	return float64(taken) / window
}

// Status is how it goes.
func (c *Consumer) Status() Status {
	s := &c.status
	s.mu.Lock()
	defer s.mu.Unlock()
	lag := int64(-1)
	for _, each := range s.lags {
		lag = max(lag, 0) + each
	}
	state, reason := s.worst()
	return Status{
		Name: c.stream.Name, Kind: c.stream.Kind, State: state, Reason: reason, Lag: lag,
		Accepted: s.accepted, Rejected: s.rejected, PerSecond: s.perSecond(), LastError: s.failure, LastErrorAt: s.failedAt,
	}
}

// Of lists the streams from which a tenant's messages come. Of one that others share it
// shows no errors, which may name what is theirs.
func (s *Consumers) Of(tenant string) []Status {
	statuses := []Status{}
	for _, c := range s.all {
		if !c.stream.Allows(tenant) {
			continue
		}
		status := c.Status()
		if c.stream.Consume.Tenant == "" {
			status.LastError, status.LastErrorAt, status.Reason = "", time.Time{}, ""
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// All lists all streams that are consumed.
func (s *Consumers) All() []Status {
	statuses := make([]Status, len(s.all))
	for i, c := range s.all {
		statuses[i] = c.Status()
	}
	return statuses
}

// SetLag notes how many records of a partition wait to be taken. Several partitions are added up.
func (c *Consumer) SetLag(partition string, records int64) {
	c.status.mu.Lock()
	defer c.status.mu.Unlock()
	c.status.lags[partition] = max(0, records)
}

// ForgetLag forgets the lag of a partition, and why it does not go on: others read it.
func (c *Consumer) ForgetLag(partition string) {
	c.status.mu.Lock()
	defer c.status.mu.Unlock()
	delete(c.status.lags, partition)
	delete(c.status.held, partition)
}

// Reached notes that the broker answers, and has what is to be read.
func (c *Consumer) Reached(ctx context.Context) {
	c.status.mu.Lock()
	state := c.status.state
	c.status.mu.Unlock()
	if state == Unreachable || state == postdate.ConsumptionUnknown {
		c.status.set(Reading, "")
		c.log.InfoContext(ctx, "consuming a stream", "stream", c.stream.Name, "kind", string(c.stream.Kind))
	}
}

// Unreached notes why the broker cannot be read from.
func (c *Consumer) Unreached(ctx context.Context, err error) {
	reason := streams.Words(err)
	c.status.fail(reason)
	if c.status.set(Unreachable, reason) {
		c.log.WarnContext(ctx, "failed to read a stream", "stream", c.stream.Name, "error", reason)
	}
}

// report notes why records are not taken, and logs what is new of it.
func (c *Consumer) report(ctx context.Context, first Record, err error) {
	state := Slowed
	if errors.Is(err, errStopped) {
		state = Stopped
	}
	if ctx.Err() != nil {
		return
	}
	c.status.fail(err.Error())
	if !c.status.hold(first.Partition, hold{state, err.Error()}) {
		return
	}
	level := slog.LevelWarn
	if postdate.CodeOf(err).IsRefusal() {
		level = slog.LevelInfo
	}
	c.log.Log(ctx, level, "records of a stream wait", "stream", c.stream.Name, "position", first.Where, "state", string(state), "reason", err.Error())
}
