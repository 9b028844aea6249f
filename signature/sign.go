package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

const (
	version = "v1" // HMAC-SHA256
	digits  = 20   // of a timestamp, at most
)

// Sign is the value of [HeaderSignature] for a message of that id and body, sent
// at that time: a signature for each of secrets, in their order. at is taken in
// whole seconds, as [HeaderTimestamp] carries it. id must not contain a full
// stop, which separates what is signed.
//
// Zero secrets are left out; without any other the answer is "".
func Sign(id string, at time.Time, body []byte, secrets ...Secret) string {
	timestamp := strconv.AppendInt(make([]byte, 0, digits), at.Unix(), 10)
	header := make([]byte, 0, len(secrets)*(len(version)+2+encodedSize))
	for _, secret := range secrets {
		if secret.IsZero() {
			continue
		}
		if len(header) > 0 {
			header = append(header, ' ')
		}
		header = append(header, version+","...)
		header = appendSignature(header, secret, id, timestamp, body)
	}
	return string(header)
}

var encodedSize = base64.StdEncoding.EncodedLen(sha256.Size)

// appendSignature appends the base64 of the signature of "id.timestamp.body".
func appendSignature(to []byte, secret Secret, id string, timestamp, body []byte) []byte {
	head := make([]byte, 0, len(id)+len(timestamp)+2)
	head = append(head, id...)
	head = append(head, '.')
	head = append(head, timestamp...)
	head = append(head, '.')

	mac := hmac.New(sha256.New, secret.bytes())
	mac.Write(head)
	mac.Write(body)
	var sum [sha256.Size]byte
	return base64.StdEncoding.AppendEncode(to, mac.Sum(sum[:0]))
}
