package receivertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/postdate/postdate/signature"
)

// tooMuch is how much of a body a receiver may read before it verifies it. Postdate
// sends at most a sixteenth of that.
const tooMuch = 16 << 20

// endlessBody sends a body that goes on for as long as it is read, from somebody
// who has no secret.
func endlessBody(tr *trial) {
	body := &endless{}
	request := tr.signed(newID(), time.Now(), signature.NewSecret())
	request.Body, request.ContentLength = body, -1
	recorder := httptest.NewRecorder()
	tr.serve(recorder, request)
	if body.read >= tooMuch {
		tr.findf("The handler read %d MiB of a body that was not verified, and would have read on: anybody can fill its memory. "+
			"Use http.MaxBytesReader.", tooMuch>>20)
	}
	if recorder.Code < http.StatusBadRequest {
		tr.findf("A body without end was answered %d. Answer 413.", recorder.Code)
	}
}

// brokenBody sends a body that breaks off in the middle.
func brokenBody(tr *trial) {
	id := newID()
	request := tr.request(id)
	half := io.LimitReader(request.Body, request.ContentLength/2)
	request.Body = io.NopCloser(io.MultiReader(half, broken{}))
	recorder := httptest.NewRecorder()
	tr.serve(recorder, request)
	if begun, _ := tr.calls(id); begun > 0 {
		tr.findf("A body that broke off was worked on. Do not overlook the error of reading it.")
	}
	if recorder.Code < http.StatusBadRequest {
		tr.findf("A body that broke off was answered %d: the message is lost. Answer 400.", recorder.Code)
	}
}

// endless ends after all, when it has seen enough.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read >= tooMuch {
		return 0, io.EOF
	}
	clear(p)
	e.read += len(p)
	return len(p), nil
}

func (*endless) Close() error { return nil }

// broken is the end of a connection that was cut.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
