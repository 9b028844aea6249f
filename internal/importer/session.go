package importer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// session is one connection of an import.
type session struct {
	Config

	feed    *feed
	pending *pending

	stopped    atomic.Bool // nothing further is sent: the API does not take it for now
	answered   int
	retryAfter time.Duration
}

// run sends what is pending, and then what the source holds, until one of the two is at its
// end: nil where the API has answered to its own end.
func (s *session) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	body, write := io.Pipe()
	request, err := s.request(ctx, body)
	if err != nil {
		return err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		err := s.send(ctx, write)
		if caller, ok := errors.AsType[callerError](err); ok {
			stop(caller)
		}
		_ = write.CloseWithError(err) // it never fails
	}()
	defer func() { stop(nil); _ = body.Close(); <-sent }()

	alive := time.AfterFunc(silence, func() {
		stop(fmt.Errorf("the API has answered nothing for %s", silence))
	})
	defer alive.Stop()
	response, err := s.Client.Do(request)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return s.refused(response)
	}
	return causeOf(ctx, s.receive(response.Body, alive))
}

// causeOf is err, or why the session was ended.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause //nolint:wrapcheck // it is ours
	}
	return err
}

func (s *session) request(ctx context.Context, body io.Reader) (*http.Request, error) {
	query := url.Values{}
	if s.Name != "" {
		query.Set("import", s.Name)
	}
	if s.DryRun {
		query.Set("dry_run", "true")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/schedules/import?"+query.Encode(), body)
	if err != nil {
		return nil, refusedError{err}
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Authorization", "Bearer "+s.Key)
	if s.Tenant != "" {
		request.Header.Set("Postdate-Tenant", s.Tenant)
	}
	return request, nil
}

// send writes lines. Blank ones stand in place of those that were answered before, so that
// each has the number that it has in the file.
func (s *session) send(ctx context.Context, to io.Writer) error {
	w := &numbered{Writer: bufio.NewWriterSize(to, 64<<10), next: 1}
	for _, line := range s.pending.sorted() {
		if err := w.line(line); err != nil {
			return err
		}
	}
	for !s.stopped.Load() {
		if err := s.sendNext(ctx, w); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	return w.Flush() //nolint:wrapcheck // the connection broke: its reader says why
}

// sendNext writes the next line of the source, or answers one that cannot be sent.
func (s *session) sendNext(ctx context.Context, w *numbered) error {
	if !s.feed.ready() || s.pending.full() {
		if err := w.Flush(); err != nil {
			return err //nolint:wrapcheck // as above
		}
	}
	if err := s.pending.awaitRoom(ctx, s.stopped.Load); err != nil {
		return err
	}
	next, err := s.feed.peek(ctx)
	if err != nil {
		return err
	}
	if next.Reject == "" {
		s.pending.add(next)
	}
	s.feed.take()
	if next.Reject == "" {
		return w.line(next)
	}
	if err := s.Answered(next, next.rejected()); err != nil {
		return callerError{err}
	}
	return nil
}

// numbered writes lines by their numbers.
type numbered struct {
	*bufio.Writer
	next int
}

func (w *numbered) line(line Line) error {
	for ; w.next < line.Number; w.next++ {
		if err := w.WriteByte('\n'); err != nil {
			return err //nolint:wrapcheck // as above
		}
	}
	w.next++
	_, err := w.Write(append(bytes.Clone(line.Text), '\n'))
	return err //nolint:wrapcheck // as above
}

// receive reads what became of each line.
func (s *session) receive(answers io.Reader, alive *time.Timer) error {
	decoder := json.NewDecoder(answers)
	for {
		var result Result
		err := decoder.Decode(&result)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the answer broke off: %w", err)
		}
		alive.Reset(silence)
		if result.again() {
			s.stopped.Store(true)
			s.pending.wake()
			continue
		}
		line, ok := s.pending.get(result.Line)
		if !ok {
			return fmt.Errorf("line %d was answered, and not sent: %s", result.Line, result.Detail)
		}
		s.answered++
		if err := s.Answered(line, result); err != nil {
			return callerError{err}
		}
		s.pending.remove(line)
	}
}

// refused is why the API takes no import, at all or for now.
func (s *session) refused(response *http.Response) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	_ = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&problem) // its status must do
	err := fmt.Errorf("the API answers %s: %s", response.Status, problem.Detail)
	if (Result{Status: response.StatusCode}).again() {
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		s.retryAfter = min(time.Duration(seconds)*time.Second, time.Minute)
		return err
	}
	return refusedError{err}
}
