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

	key, at := signature.NewSigningKey(), time.Unix(sent, 0)
	verifiers := []signature.Verifier{signature.NewSecret(), key.Public()}
	signers := []signature.Signer{verifiers[0].(signature.Secret), key}
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte, place uint, flip byte) {
		forged := http.Header{
			"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signatures},
		}
		if signature.Verify(forged, body, at, 0, verifiers...) == nil {
			t.Fatal("verified without the secret")
		}
		if id == "" || strings.Contains(id, ".") {
			return // no sender may use it
		}
		for i, signer := range signers {
			signed := header(id, sent, signature.Sign(id, at, body, signer))
			if err := signature.Verify(signed, body, at, 0, verifiers[i]); err != nil {
				t.Fatalf("signed and refused: %v", err)
			}
			if flip != 0 {
				refusesChanges(t, signed, body, verifiers, place, flip)
			}
		}
	})
}

// refusesChanges turns bits over in one byte of each thing that is signed.
func refusesChanges(t *testing.T, signed http.Header, body []byte, verifiers []signature.Verifier, place uint, flip byte) {
	t.Helper()
	at := time.Unix(sent, 0)
	for _, h := range []string{signature.HeaderID, signature.HeaderTimestamp, signature.HeaderSignature} {
		changed := signed.Clone()
		changed.Set(h, flipped(signed.Get(h), place, flip))
		if signature.Verify(changed, body, at, 0, verifiers...) == nil {
			t.Fatalf("verified with %s changed to %q", h, changed.Get(h))
		}
	}
	if len(body) > 0 && signature.Verify(signed, []byte(flipped(string(body), place, flip)), at, 0, verifiers...) == nil {
		t.Fatal("verified with its body changed")
	}
}

// flipped is text with bits of one byte turned over.
func flipped(text string, place uint, flip byte) string {
	b := []byte(text)
	b[place%uint(len(b))] ^= flip
	return string(b)
}
