package signature_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postdate/postdate/signature"
)

// FuzzVerify holds that whatever arrives ends in an answer; that what was
// signed always verifies; and that with one byte changed it never does.
func FuzzVerify(f *testing.F) {
	f.Add("evt_1", "1893456000", "v1,AAAA", []byte(`{"type":"x"}`), uint(0), byte(1))
	f.Add("", "", "", []byte{}, uint(1), byte(0x80))
	f.Add("a.b", "-1", "v1a,x v1, , v2", []byte{0, 255}, uint(99), byte(32))
	f.Add("evt_1", "18446744073709551615", strings.Repeat("v1,", 99), []byte("1893456000.{}"), uint(7), byte(4))

	secret, at := signature.NewSecret(), time.Unix(sent, 0)
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte, place uint, flip byte) {
		forged := http.Header{
			"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signatures},
		}
		if signature.Verify(forged, body, at, 0, secret) == nil {
			t.Fatal("verified without the secret")
		}
		if id == "" || strings.Contains(id, ".") {
			return // no sender may use it
		}
		signed := header(id, sent, signature.Sign(id, at, body, secret))
		if err := signature.Verify(signed, body, at, 0, secret); err != nil {
			t.Fatalf("signed and refused: %v", err)
		}
		if flip == 0 {
			return
		}
		for _, h := range []string{signature.HeaderID, signature.HeaderTimestamp, signature.HeaderSignature} {
			changed := signed.Clone()
			changed.Set(h, flipped(signed.Get(h), place, flip))
			if signature.Verify(changed, body, at, 0, secret) == nil {
				t.Fatalf("verified with %s changed to %q", h, changed.Get(h))
			}
		}
		if len(body) > 0 && signature.Verify(signed, []byte(flipped(string(body), place, flip)), at, 0, secret) == nil {
			t.Fatal("verified with its body changed")
		}
	})
}

// flipped is text with bits of one byte turned over.
func flipped(text string, place uint, flip byte) string {
	b := []byte(text)
	b[place%uint(len(b))] ^= flip
	return string(b)
}
