package receivertest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postdate/postdate/signature"
)

const (
	verifyFirst = "Verify the bytes that arrived before anything else."
	holdToTime  = "Hold the timestamp to a tolerance of a few minutes: such a message may be a replay."
)

// forged are requests that the sender did not sign as they are, or not now.
var forged = []struct {
	what, remedy string
	forge        func(*trial, *http.Request)
}{
	{"without the headers of Standard Webhooks", verifyFirst, func(_ *trial, r *http.Request) { r.Header = http.Header{} }},
	{"without a signature", verifyFirst, func(_ *trial, r *http.Request) { r.Header.Del(signature.HeaderSignature) }},
	{"with an empty signature", verifyFirst, func(_ *trial, r *http.Request) { r.Header.Set(signature.HeaderSignature, "v1,") }},
	{"without an id", verifyFirst, func(_ *trial, r *http.Request) { r.Header.Del(signature.HeaderID) }},
	{"without a timestamp", verifyFirst, func(_ *trial, r *http.Request) { r.Header.Del(signature.HeaderTimestamp) }},
	{"with another body than was signed", verifyFirst, func(_ *trial, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // from memory
		changed := string(body) + " "
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
	}},
	{"with another timestamp than was signed", verifyFirst, func(_ *trial, r *http.Request) {
		r.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(time.Now().Unix()+1, 10))
	}},
	{"with a signature of a version that does not exist", verifyFirst, func(_ *trial, r *http.Request) {
		_, encoded, _ := strings.Cut(r.Header.Get(signature.HeaderSignature), ",")
		r.Header.Set(signature.HeaderSignature, "v9,"+encoded)
	}},
	{"signed with another secret", verifyFirst, func(tr *trial, r *http.Request) {
		*r = *tr.signed(r.Header.Get(signature.HeaderID), time.Now(), signature.NewSecret(), signature.NewSigningKey())
	}},
	{"signed an hour ago", holdToTime, func(tr *trial, r *http.Request) {
		*r = *tr.signed(r.Header.Get(signature.HeaderID), time.Now().Add(-time.Hour), tr.receiver.Signer)
	}},
	{"signed in an hour", holdToTime, func(tr *trial, r *http.Request) {
		*r = *tr.signed(r.Header.Get(signature.HeaderID), time.Now().Add(time.Hour), tr.receiver.Signer)
	}},
}

func signatures(tr *trial) {
	for _, f := range forged {
		id := newID()
		request := tr.request(id)
		f.forge(tr, request)
		tr.refuses(request, id, f.what, f.remedy)
	}
	replayed := newID()
	request := tr.request(newID())
	request.Header.Set(signature.HeaderID, replayed)
	tr.refuses(request, replayed, "under another id than was signed", verifyFirst)

	now, signer := time.Now(), tr.receiver.Signer
	for what, request := range map[string]*http.Request{
		"signed a minute ago":                              tr.signed(newID(), now.Add(-time.Minute), signer),
		"signed in a minute, by a clock not ours":          tr.signed(newID(), now.Add(time.Minute), signer),
		"signed with two secrets, as while one is rotated": tr.signed(newID(), now, signature.NewSecret(), signer),
		"signed with secrets of two kinds":                 tr.signed(newID(), now, signature.NewSecret(), signature.NewSigningKey(), signer),
	} {
		if a := tr.send(request); !a.accepted() {
			tr.findf("A message %s was answered %s: it is to be accepted.", what, a)
		}
	}
}

// refuses sends a request that must not be taken as message id.
func (tr *trial) refuses(request *http.Request, id, what, remedy string) {
	a := tr.send(request)
	begun, _ := tr.calls(id)
	switch {
	case begun > 0 || tr.receiver.Effects(id) > 0:
		tr.findf("A message %s was worked on. %s", what, remedy)
	case a.accepted():
		tr.findf("A message %s was answered %s. Answer 401, so that its sender learns that something is wrong.", what, a)
	}
}
