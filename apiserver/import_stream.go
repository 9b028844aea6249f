package apiserver

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/postdate/postdate"
)

const (
	// importIdle is how long a client may take to send something, or to read something.
	importIdle = 2 * time.Minute
)

// errStopping ends an import at the line that it names.
var errStopping = postdate.Errorf(postdate.Unavailable, "", "the server is stopping, and has read nothing from this line on: send the rest again")

// brokenOffError is the error of an answer that is not whole. Its connection is cut, so that its
// reader finds that out.
type brokenOffError struct{ error }

func (b *brokenOffError) Unwrap() error { return b.error }

// importStream is the answer to an import: it reads the request while it is written.
//
// One goroutine reads lines into chunks; each chunk is created by a goroutine of its own;
// and the caller's goroutine writes what became of them, in their order. A client that
// does not read its answers holds up the writer, and so the chunks, and so the reader.
type importStream struct {
	server *server
	ctx    context.Context //nolint:containedctx // it is one request's
	body   io.Reader
	packed bool
	dryRun bool
	spans  importSpans
	leave  func()
	// bodyErr is the error of the last read of the body itself, packed as that may be.
	bodyErr error

	connection *http.ResponseController
	stop       context.CancelCauseFunc
}

// VisitImportSchedulesResponse reads the request and writes the answer.
func (i *importStream) VisitImportSchedulesResponse(w http.ResponseWriter) error {
	defer i.leave()
	i.connection = http.NewResponseController(w)
	if err := i.connection.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("answer while reading: %w", err)
	}
	header := w.Header()
	header.Set("Content-Type", mediaNDJSON)
	header.Set("X-Accel-Buffering", "no") // a proxy before us passes lines on as they come
	request := i.ctx
	i.ctx, i.stop = context.WithCancelCause(context.WithoutCancel(request))
	defer i.stop(nil)
	// net/http cancels a request whose body is not read in time, too. That is how the reading
	// is stopped when the process is, and what was read is answered all the same.
	defer context.AfterFunc(request, func() {
		if !i.isStopping() {
			i.stop(fmt.Errorf("the client has gone: %w", request.Err()))
		}
	})()

	chunks := make(chan *chunk, maxChunks)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(chunks)
		i.read(chunks)
	})
	// The body must not be read any more once the request is over.
	defer reading.Wait()
	defer context.AfterFunc(i.ctx, func() { _ = i.connection.SetReadDeadline(time.Now()) })()

	stopped := make(chan struct{})
	defer close(stopped)
	go i.watch(stopped)

	err := i.write(w, chunks)
	if err == nil {
		err = i.connection.SetWriteDeadline(time.Time{})
	}
	if err == nil || errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	i.stop(err)
	for range chunks {
	}
	return &brokenOffError{err}
}

// watch stops the reading when the process is told to stop.
func (i *importStream) watch(stopped <-chan struct{}) {
	select {
	case <-i.server.Stopping:
		_ = i.connection.SetReadDeadline(time.Now())
	case <-stopped:
	}
}

// isStopping reports whether the process was told to stop.
func (i *importStream) isStopping() bool {
	select {
	case <-i.server.Stopping:
		return true
	default:
		return false
	}
}

// read reads lines into chunks, and has them created, until the stream ends.
func (i *importStream) read(chunks chan<- *chunk) {
	lines, err := i.lines()
	c := &chunker{importStream: i, chunks: chunks, next: new(chunk), ids: make(map[string]bool)}
	for err == nil && i.ctx.Err() == nil {
		var line []byte
		if i.isStopping() {
			err = errStopping
			break
		}
		line, err = c.nextLine(lines)
		schedule := newSchedule{created: created{err: err}}
		switch {
		case err == nil:
			schedule = i.schedule(line, lines.number)
		case errors.Is(err, errLineTooLong):
			err = nil
		default:
			continue
		}
		c.add(schedule, lines.number, len(line))
	}
	c.flush()
	i.end(err, lines, chunks)
}

// lines is what the body holds, unpacked.
func (i *importStream) lines() (*lineReader, error) {
	body := io.Reader(&patientReader{i})
	if i.packed {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return newLineReader(strings.NewReader("")), err
		}
		body = unpacked
	}
	return newLineReader(body), nil
}

// patientReader reads the body, and waits for a part of it for as long as a client may take.
type patientReader struct{ *importStream }

func (r *patientReader) Read(into []byte) (int, error) {
	_ = r.connection.SetReadDeadline(time.Now().Add(importIdle)) // it may not be supported
	if r.isStopping() || r.ctx.Err() != nil {
		_ = r.connection.SetReadDeadline(time.Now())
	}
	n, err := r.body.Read(into)
	r.bodyErr = err
	if errors.Is(err, io.EOF) {
		_ = r.connection.SetReadDeadline(time.Time{}) // the answer may take longer
	}
	return n, err
}

// schedule is what a line holds.
func (i *importStream) schedule(line []byte, number int) newSchedule {
	schedule := i.server.readSchedule(line)
	if refusal, ok := errors.AsType[*postdate.Error](schedule.err); ok && refusal.Code == malformed {
		// The position is one in the line, whose number is known.
		schedule.err = postdate.Errorf(malformed, "", "%s", strings.Replace(refusal.Detail, "line 1, ", "", 1))
	}
	if schedule.err == nil && schedule.body.Recurrence != nil {
		schedule.err = postdate.Errorf(postdate.Invalid, "/recurrence", "an import holds schedules that are due once: create a recurring one by itself")
	}
	i.spans.number(&schedule, number)
	return schedule
}

// check finds out which schedules would be taken.
func (i *importStream) check(schedules []newSchedule) {
	now := i.server.Now().UTC()
	for n := range schedules {
		s := &schedules[n]
		if s.err != nil {
			continue
		}
		schedule := scheduleOf(tenantOf(i.ctx), s.body)
		if _, s.err = localDue(s.body, &schedule); s.err == nil {
			s.err = i.server.checkSchedule(i.ctx, &schedule, now)
		}
		s.id, s.exists = s.body.ID, true
	}
}

// end answers, as the last line, why the stream could not be read to its end.
func (i *importStream) end(err error, lines *lineReader, chunks chan<- *chunk) {
	switch {
	case errors.Is(err, io.EOF):
		return
	case i.isStopping():
		err = errStopping
	case i.ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		i.stop(fmt.Errorf("the import was not read to its end: %w", err))
		return
	case errors.Is(err, errWaste):
	case i.packed && (i.bodyErr == nil || errors.Is(i.bodyErr, io.EOF)):
		err = postdate.Errorf(malformed, "", "the body cannot be unpacked from here on: %s", err)
	default: // the client has gone
		i.stop(fmt.Errorf("the import was not read to its end: %w", err))
		return
	}
	i.begin(&chunk{numbers: []int{lines.number + 1}, schedules: []newSchedule{{created: created{err: err}}}}, chunks)
}

// write writes what became of each line, as soon as it and those before it are created.
func (i *importStream) write(w http.ResponseWriter, chunks <-chan *chunk) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for c := range chunks {
		<-c.done
		if err := context.Cause(i.ctx); err != nil {
			return err
		}
		text.Reset()
		for n, schedule := range c.schedules {
			result := i.server.scheduleResult(i.ctx, schedule.created)
			if err := encoder.Encode(importedLine(c.numbers[n], result)); err != nil {
				return fmt.Errorf("write a result: %w", err)
			}
		}
		_ = i.connection.SetWriteDeadline(time.Now().Add(importIdle)) // it may not be supported
		if _, err := w.Write(text.Bytes()); err != nil {
			return fmt.Errorf("answer the import: %w", err)
		}
		if err := i.connection.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return fmt.Errorf("answer the import: %w", err)
		}
	}
	return context.Cause(i.ctx)
}

func importedLine(number int, r ScheduleResult) ImportedLine {
	return ImportedLine{
		Line: number, Status: r.Status, ID: r.ID, NextAttemptAt: r.NextAttemptAt, Code: r.Code, Detail: r.Detail, Errors: r.Errors,
	}
}
