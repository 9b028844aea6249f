package receivertest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postdate/postdate/signature"
)

const (
	// longest is how long an answer may take.
	longest = 30 * time.Second
	// pause is how long to wait before a message is sent again.
	pause = 20 * time.Millisecond
)

// times are how long a trial waits for what may not come.
type times struct {
	// patience is for how long a message that is not handled is sent again.
	patience time.Duration
	// hold is how long work is held up at most, so that copies overlap with it. Of
	// a right receiver they all wait, which cannot be seen, so it is always as long.
	hold time.Duration
}

var usual = times{patience: 20 * time.Second, hold: time.Second}

// trial is one receiver under test, and what it did wrong.
type trial struct {
	t        *testing.T
	receiver Receiver
	server   *httptest.Server
	found    []string
	times    times

	mu    sync.Mutex
	works map[string]*work
}

// work is what is known of the work on one message, and what happens in it.
type work struct {
	begun, succeeded int // calls of step; guarded by trial.mu
	// do is what a call, counted from 1, does. nil: nothing.
	do func(ctx context.Context, call int) error
}

func newTrial(t *testing.T, times times, open func(t *testing.T, step Step) Receiver) *trial {
	t.Helper()
	tr := &trial{t: t, times: times, works: map[string]*work{}}
	tr.receiver = open(t, tr.step)
	if tr.receiver.Handler == nil || tr.receiver.Signer == nil || tr.receiver.Effects == nil {
		t.Fatal("receivertest: a Receiver needs Handler, Signer and Effects")
	}
	tr.receiver.Path = cmp.Or(tr.receiver.Path, "/")
	if tr.receiver.Body == nil {
		tr.receiver.Body = standardBody
	}
	tr.server = httptest.NewUnstartedServer(tr.receiver.Handler)
	tr.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // the panics in it are meant to be
	tr.server.Start()
	t.Cleanup(tr.server.Close)
	return tr
}

func standardBody(id string) []byte {
	return fmt.Appendf(nil, `{"type":"receivertest","timestamp":"2027-01-01T09:00:00Z","data":{"id":%q}}`, id)
}

// findf notes something that the receiver did wrong.
func (tr *trial) findf(format string, args ...any) {
	tr.found = append(tr.found, fmt.Sprintf(format, args...))
}

// step is what the receiver's work calls.
func (tr *trial) step(ctx context.Context, id string) error {
	tr.mu.Lock()
	w := tr.workOn(id)
	w.begun++
	call, do := w.begun, w.do
	tr.mu.Unlock()
	if do != nil {
		if err := do(ctx, call); err != nil {
			return err
		}
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	w.succeeded++
	return nil
}

// workOn is called with tr.mu held.
func (tr *trial) workOn(id string) *work {
	if tr.works[id] == nil {
		tr.works[id] = &work{}
	}
	return tr.works[id]
}

// during says what happens in the work on message id.
func (tr *trial) during(id string, do func(ctx context.Context, call int) error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.workOn(id).do = do
}

// calls is how often the work on message id has begun, and how often it succeeded.
func (tr *trial) calls(id string) (begun, succeeded int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	w := tr.workOn(id)
	return w.begun, w.succeeded
}

// serve gives the handler a request without a connection, so that the trial has
// the other ends of its body and of its answer.
func (tr *trial) serve(w http.ResponseWriter, request *http.Request) {
	request.Host, request.RequestURI, request.RemoteAddr = request.URL.Host, request.URL.RequestURI(), "192.0.2.1:1234"
	tr.receiver.Handler.ServeHTTP(w, request)
}

// answer is what the receiver answered.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // nothing was answered
}

func (a answer) accepted() bool { return a.err == nil && a.status >= 200 && a.status < 300 }

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	text := strconv.Itoa(a.status)
	if said := strings.Join(strings.Fields(a.body), " "); said != "" {
		text += fmt.Sprintf(" (%.200s)", said)
	}
	return text
}

// final says why the sender would not send the message again after a, or "".
func (a answer) final() string {
	switch {
	case a.err != nil || a.accepted():
		return ""
	case a.status == http.StatusGone:
		return "410, which says that the receiver is gone for good"
	case strings.EqualFold(strings.TrimSpace(a.header.Get("Webhook-Delivery")), "abort"):
		return a.String() + " with webhook-delivery: abort, which gives the message up"
	}
	return ""
}

// request is a message as an honest sender sends it now.
func (tr *trial) request(id string) *http.Request {
	return tr.signed(id, time.Now(), tr.receiver.Signer)
}

func (tr *trial) signed(id string, at time.Time, signers ...signature.Signer) *http.Request {
	body := tr.receiver.Body(id)
	request, err := http.NewRequest(http.MethodPost, tr.server.URL+tr.receiver.Path, bytes.NewReader(body)) //nolint:noctx // send gives it one
	if err != nil {
		tr.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(signature.HeaderID, id)
	request.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(signature.HeaderSignature, signature.Sign(id, at, body, signers...))
	return request
}

// send makes one attempt.
func (tr *trial) send(request *http.Request) answer {
	ctx, cancel := context.WithTimeout(request.Context(), longest)
	defer cancel()
	response, err := tr.server.Client().Do(request.WithContext(ctx))
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10)) // it only explains
	return answer{status: response.StatusCode, header: response.Header, body: string(body)}
}

// deliver sends message id again and again, as a sender does, until it is accepted.
// It notes where that never happens, or a sender would have given up before.
func (tr *trial) deliver(id, after string) bool {
	var last answer
	for until := time.Now().Add(tr.times.patience); time.Now().Before(until); {
		last = tr.send(tr.request(id))
		if last.accepted() {
			return true
		}
		if tr.isFinal(last, after) {
			return false
		}
		time.Sleep(pause)
	}
	tr.findf("After %s the message was not taken for %s. The last answer was %s. "+
		"If something is locked that only a clean end unlocks, let a transaction of the database be the lock.", after, tr.times.patience, last)
	return false
}

// isFinal notes where an answer would keep the sender from trying again.
func (tr *trial) isFinal(a answer, after string) bool {
	reason := a.final()
	if reason != "" {
		tr.findf("After %s the message was answered %s. It was never handled, and is not sent again.", after, reason)
	}
	return reason != ""
}

// isHandledOnce sends message id until it is accepted, and notes where the work on
// it has then not taken effect exactly once.
func (tr *trial) isHandledOnce(id, after string) bool {
	if !tr.deliver(id, after) {
		return false
	}
	n := tr.receiver.Effects(id)
	switch {
	case n == 0:
		tr.findf("After %s the message is accepted, but the work has not taken effect: the message is lost. "+
			"Mark it in the transaction of its work, and answer after the commit.", after)
	case n > 1:
		tr.findf("After %s the work has taken effect %d times. "+
			"Insert the message's id in the transaction of the work, before the work.", after, n)
	}
	return n == 1
}

// newID makes an id that no other trial uses, in case receivers share a database.
func newID() string { return "rt_" + rand.Text() }
