package activities

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

const (
	// sentMemoryTime is how long attempts are remembered, and sentMemoryBytes bounds the
	// memory that all of them take: a workflow task is repeated within seconds.
	sentMemoryTime  = 5 * time.Minute
	sentMemoryBytes = 32 << 20
	// attemptBytes is about what an attempt takes without its texts.
	attemptBytes = 256
)

// RepeatedAttemptsMetric counts the attempts that were not made again, since the process
// remembered them. It stays at 0 as long as Temporal repeats no workflow task that has
// made attempts.
const RepeatedAttemptsMetric = "postdate_repeated_attempts"

// sentMemory remembers the attempts that local activities of this process have made. Where
// Temporal repeats the workflow task of such an activity, the activity runs again for the
// same run and attempt number, and returns what it has returned before. The zero value is
// ready to use.
type sentMemory struct {
	mu    sync.Mutex
	byRun map[string]*sending
	ended []*sending // the oldest first
	bytes int
}

// sending is a local activity that makes, or has made, attempts.
type sending struct {
	run    string
	number int
	done   chan struct{} // closed once it has ended
	// attempts are what it has returned. bytes is about what they take: 0 where none was
	// made.
	attempts []protocol.GroupAttempt
	bytes    int
	at       time.Time
}

// once runs send, unless this process runs or has run it for the same run and attempt
// number: then it waits for that result and returns it. Regular activities always run,
// since Temporal records their results.
func (m *sentMemory) once(
	ctx context.Context, number int, send func() ([]protocol.GroupAttempt, error),
) ([]protocol.GroupAttempt, error) {
	info := activity.GetInfo(ctx)
	if !info.IsLocalActivity {
		return send()
	}
	s, first := m.begin(info.WorkflowExecution.RunID, number)
	if first {
		attempts, err := send()
		m.end(s, attempts)
		return attempts, err
	}
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	if s.bytes == 0 { // no attempt was made
		return send()
	}
	countRepeated(ctx)
	return s.attempts, nil
}

// recall returns the attempt that this process has made for a run, if it remembers one.
func (m *sentMemory) recall(ctx context.Context, run string) (attempt postdate.Attempt, made bool) {
	m.mu.Lock()
	s := m.byRun[run]
	m.mu.Unlock()
	if s == nil || s.wait(ctx) != nil || s.bytes == 0 {
		return postdate.Attempt{}, false
	}
	countRepeated(ctx)
	return s.attempts[0].Attempt, true
}

func countRepeated(ctx context.Context) {
	activity.GetMetricsHandler(ctx).Counter(RepeatedAttemptsMetric).Inc(1)
	activity.GetLogger(ctx).Warn("an attempt was not repeated, though its workflow task was")
}

// wait waits until s has ended.
func (s *sending) wait(ctx context.Context) error {
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin returns the sending of that run and number, and whether it begins now.
func (m *sentMemory) begin(run string, number int) (s *sending, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.byRun[run]; s != nil && s.number == number {
		return s, false
	}
	if m.byRun == nil {
		m.byRun = make(map[string]*sending)
	}
	s = &sending{run: run, number: number, done: make(chan struct{})}
	m.byRun[run] = s
	return s, true
}

// end records the result of a sending. It is remembered if an attempt was made.
func (m *sentMemory) end(s *sending, attempts []protocol.GroupAttempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.attempts, s.bytes, s.at = attempts, sizeOf(attempts), time.Now()
	close(s.done)
	if s.bytes == 0 {
		m.forget(s)
		return
	}
	m.ended = append(m.ended, s)
	m.bytes += s.bytes
	for len(m.ended) > 0 && (m.bytes > sentMemoryBytes || s.at.Sub(m.ended[0].at) > sentMemoryTime) {
		m.bytes -= m.ended[0].bytes
		m.forget(m.ended[0])
		m.ended = m.ended[1:]
	}
}

// forget removes s, unless its run has begun another one.
func (m *sentMemory) forget(s *sending) {
	if m.byRun[s.run] == s {
		delete(m.byRun, s.run)
	}
}

// sizeOf is about how many bytes the attempts take that were made.
func sizeOf(attempts []protocol.GroupAttempt) (bytes int) {
	for _, a := range attempts {
		if protocol.Attempted(a.Outcome) {
			bytes += attemptBytes + len(a.Response) + len(a.Error)
		}
	}
	return bytes
}
