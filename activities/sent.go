package activities

import (
	"container/list"
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

const (
	// sentMemoryTime is how long an attempt is remembered, and sentMemoryBytes bounds the
	// memory that all of them take: a workflow task is repeated within seconds.
	sentMemoryTime  = 5 * time.Minute
	sentMemoryBytes = 32 << 20
	// attemptBytes is about what an attempt takes without its texts.
	attemptBytes = 256
)

// RepeatedAttemptsMetric counts the attempts that were not made again, since the process
// remembered them. It stays at 0 unless Temporal repeats a workflow task.
const RepeatedAttemptsMetric = "postdate_repeated_attempts"

// sentMemory remembers the attempts that local activities of this process have made. Where
// Temporal repeats the workflow task of such an activity, the activity runs again with the
// same run id and attempt number, and returns what it has returned before. The zero value
// is ready to use.
type sentMemory struct {
	mu     sync.Mutex
	byRun  map[string]*sending
	oldest list.List // of *sending that have ended
	bytes  int
}

// sending is a local activity that makes, or has made, attempts.
type sending struct {
	run    string
	number int
	done   chan struct{} // closed once it has ended
	result any
	err    error
	at     time.Time
	bytes  int
}

// once runs send, unless this process runs or has run it for the same run and attempt
// number: then it waits for that result and returns it. Regular activities always run,
// since Temporal records their results.
func once[T postdate.Attempt | []protocol.GroupAttempt](
	ctx context.Context, memory *sentMemory, number int, send func() (T, error),
) (result T, err error) {
	info := activity.GetInfo(ctx)
	if !info.IsLocalActivity {
		return send()
	}
	s, first := memory.begin(info.WorkflowExecution.RunID, number)
	if first {
		result, err = send()
		memory.end(s, result, err)
		return result, err
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return result, ctx.Err()
	}
	if s.err != nil || s.bytes == 0 { // no attempt was made
		return send()
	}
	countRepeated(ctx)
	return s.result.(T), nil
}

func countRepeated(ctx context.Context) {
	activity.GetMetricsHandler(ctx).Counter(RepeatedAttemptsMetric).Inc(1)
	activity.GetLogger(ctx).Warn("an attempt was not repeated, though its workflow task was")
}

// recall returns the attempt that a run has made here, if it is remembered.
func (m *sentMemory) recall(ctx context.Context, run string) (attempt postdate.Attempt, made bool) {
	m.mu.Lock()
	s := m.byRun[run]
	m.mu.Unlock()
	if s == nil {
		return attempt, false
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return attempt, false
	}
	if attempt, made = s.result.(postdate.Attempt); !made || s.err != nil || s.bytes == 0 {
		return attempt, false
	}
	countRepeated(ctx)
	return attempt, true
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

// end records what a sending came to. It is remembered if an attempt was made.
func (m *sentMemory) end(s *sending, result any, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.result, s.err, s.at, s.bytes = result, err, time.Now(), sizeOf(result)
	close(s.done)
	if s.err != nil || s.bytes == 0 {
		m.forget(s)
		return
	}
	m.oldest.PushBack(s)
	m.bytes += s.bytes
	for e := m.oldest.Front(); e != nil && (m.bytes > sentMemoryBytes || time.Since(e.Value.(*sending).at) > sentMemoryTime); e = m.oldest.Front() {
		old := m.oldest.Remove(e).(*sending)
		m.bytes -= old.bytes
		m.forget(old)
	}
}

// forget removes s, unless its run has begun another one.
func (m *sentMemory) forget(s *sending) {
	if m.byRun[s.run] == s {
		delete(m.byRun, s.run)
	}
}

// sizeOf is about how many bytes the attempts in a result take: 0 where none was made.
func sizeOf(result any) (bytes int) {
	add := func(a postdate.Attempt) {
		if protocol.Attempted(a.Outcome) {
			bytes += attemptBytes + len(a.Response) + len(a.Error)
		}
	}
	switch result := result.(type) {
	case postdate.Attempt:
		add(result)
	case []protocol.GroupAttempt:
		for _, a := range result {
			add(a.Attempt)
		}
	}
	return bytes
}
