package receivertest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"time"
)

func failingWork(tr *trial) {
	tr.fails("the work failed", func() error { return errWork })
}

func panickingWork(tr *trial) {
	tr.fails("the work panicked", func() error { panic(errWork) })
}

// fails has the first work on a message end by fail, and the next succeed.
func (tr *trial) fails(after string, fail func() error) {
	id := newID()
	tr.during(id, func(_ context.Context, call int) error {
		if call == 1 {
			return fail()
		}
		return nil
	})
	a := tr.send(tr.request(id))
	if a.accepted() {
		tr.findf("After %s the message was answered %s: it is lost. Answer with success after the commit only.", after, a)
		return
	}
	if tr.isFinal(a, after) {
		return
	}
	if tr.receiver.Effects(id) > 0 {
		tr.findf("After %s it has taken effect all the same, and will again when the message comes again. "+
			"Do all of it in one transaction, and roll that back.", after)
		return
	}
	tr.isHandledOnce(id, after+" and the message came again,")
}

// lostAnswer has the process die, as far as the handler can see, when it answers.
func lostAnswer(tr *trial) {
	id := newID()
	func() {
		defer func() {
			if value := recover(); value != nil && value != any(errDied) {
				tr.findf("When its answer could not be written, the handler panicked: %v", value)
			}
		}()
		tr.serve(&dyingWriter{httptest.NewRecorder()}, tr.request(id))
	}()
	tr.isHandledOnce(id, "an answer was lost and the message came again,")
}

var errDied = errors.New("receivertest: the process died, as it is meant to")

// dyingWriter ends the handler's goroutine by a panic as soon as it answers.
type dyingWriter struct{ *httptest.ResponseRecorder }

func (*dyingWriter) WriteHeader(int)           { panic(errDied) }
func (*dyingWriter) Write([]byte) (int, error) { panic(errDied) }

// hangUp ends the connection while the work is being done.
func hangUp(tr *trial) {
	id := newID()
	gone, served := make(chan struct{}), make(chan struct{})
	inner := tr.server.Config.Handler
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tr.during(id, func(_ context.Context, call int) error {
		if call == 1 {
			cancel()
			select {
			case <-gone:
			case <-time.After(longest):
			}
		}
		return nil
	})
	watching := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(served)
		context.AfterFunc(r.Context(), func() { close(gone) })
		inner.ServeHTTP(w, r)
	}))
	defer watching.Close()
	request := tr.request(id)
	request.URL.Host = watching.Listener.Addr().String()
	tr.send(request.WithContext(ctx))
	select {
	case <-served:
	case <-time.After(longest):
	}
	tr.isHandledOnce(id, "the sender hung up in the middle of the work and the message came again,")
}
