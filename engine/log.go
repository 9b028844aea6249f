package engine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// logger writes the engine's log to slog. Debug and information go one level down, so that
// a program that logs at info level shows the engine's warnings and errors only.
type logger struct {
	slog *slog.Logger
	// tags are added to each line. They are converted only then: the engine makes a
	// logger for each request, and few of them ever log.
	tags  []tag.Tag
	state *logState
}

// logState is common to all loggers of an engine.
type logState struct {
	// quiet is set while the engine starts and stops: its services then log that they
	// miss each other, and what matters is the error that Start returns.
	quiet atomic.Bool
	// building is set while a Fatal can be caught by build.
	building atomic.Bool
	repeats  repeats
}

// fatal is what a Fatal panics with while the server is being built.
type fatal string

var (
	_ log.Logger     = (*logger)(nil)
	_ log.WithLogger = (*logger)(nil)
)

func newLogger(to *slog.Logger) *logger { return &logger{slog: to, state: new(logState)} }

func (l *logger) log(level slog.Level, msg string, tags []tag.Tag) {
	if l.state.quiet.Load() && level > slog.LevelDebug {
		level = slog.LevelDebug
	}
	ctx := context.Background()
	if !l.slog.Enabled(ctx, level) {
		return
	}
	as := attrs(slices.Concat(l.tags, tags))
	if level > slog.LevelDebug {
		held, ok := l.state.repeats.pass(msg, time.Now())
		if !ok {
			return
		}
		if held > 0 {
			as = append(as, slog.Int("repeated", held))
		}
	}
	l.slog.LogAttrs(ctx, level, msg, as...)
}

func attrs(tags []tag.Tag) []slog.Attr {
	as := make([]slog.Attr, len(tags))
	for i, t := range tags {
		as[i] = slog.Any(t.Key(), t.Value())
	}
	return as
}

func (l *logger) Debug(msg string, tags ...tag.Tag) { l.log(slog.LevelDebug-4, msg, tags) }
func (l *logger) Info(msg string, tags ...tag.Tag)  { l.log(slog.LevelDebug, msg, tags) }
func (l *logger) Warn(msg string, tags ...tag.Tag)  { l.log(slog.LevelWarn, msg, tags) }
func (l *logger) Error(msg string, tags ...tag.Tag) { l.log(slog.LevelError, msg, tags) }

// DPanic is an error that would panic in the engine's own development.
func (l *logger) DPanic(msg string, tags ...tag.Tag) { l.Error(msg, tags...) }

func (l *logger) Panic(msg string, tags ...tag.Tag) {
	l.Error(msg, tags...)
	panic(msg)
}

// Fatal does not return: the engine's code relies on it.
func (l *logger) Fatal(msg string, tags ...tag.Tag) {
	if l.state.building.Load() {
		var s strings.Builder
		s.WriteString(msg)
		for _, t := range tags {
			fmt.Fprintf(&s, " %s=%v", t.Key(), t.Value())
		}
		panic(fatal(s.String()))
	}
	l.state.quiet.Store(false)
	l.Error(msg, tags...)
	os.Exit(1) //nolint:revive // the server has said that it cannot go on
}

// With implements log.WithLogger.
func (l *logger) With(tags ...tag.Tag) log.Logger {
	return &logger{slog: l.slog, tags: slices.Concat(l.tags, tags), state: l.state}
}

// repeatAfter is the shortest time between two lines with the same message.
const repeatAfter = time.Minute

// repeats drops lines whose message was just logged: when the engine is overloaded, each
// of a thousand requests logs the same.
type repeats struct {
	mu   sync.Mutex
	last map[string]*repeat
}

type repeat struct {
	at   time.Time
	held int
}

// pass reports whether to log msg now, and how many such lines were dropped.
func (r *repeats) pass(msg string, now time.Time) (held int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil || len(r.last) > 1000 { // messages are few, unless they hold values
		r.last = map[string]*repeat{}
	}
	m := r.last[msg]
	if m != nil && now.Sub(m.at) < repeatAfter {
		m.held++
		return 0, false
	}
	if m != nil {
		held = m.held
	}
	r.last[msg] = &repeat{at: now}
	return held, true
}
