package signature

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signer makes signatures: a [Secret] makes those of version "v1", a
// [SigningKey] those of "v1a". There are no others.
type Signer interface {
	// IsZero reports whether it is a zero value, which signs nothing.
	IsZero() bool
	version() string
	// sign appends the base64 of the signature of c.
	sign(to []byte, c content) []byte
}

// ParseSigner reads a [Secret] or a [SigningKey], whichever the prefix of text
// says. Its errors wrap [ErrSecret] or [ErrKey] and show nothing of text.
func ParseSigner(text string) (Signer, error) {
	switch {
	case strings.HasPrefix(text, secretPrefix):
		return ParseSecret(text)
	case strings.HasPrefix(text, signingPrefix):
		return ParseSigningKey(text)
	default:
		return nil, fmt.Errorf("%w: it begins neither with %q nor with %q", ErrSecret, secretPrefix, signingPrefix)
	}
}

// Sign is the value of [HeaderSignature] for a message of that id and body, sent
// at that time: a signature by each of signers, in their order. at is taken in
// whole seconds, as [HeaderTimestamp] carries it. id must not contain a full
// stop, which separates what is signed.
//
// Zero signers are left out; without any other the answer is "".
func Sign(id string, at time.Time, body []byte, signers ...Signer) string {
	c := contentOf(id, strconv.FormatInt(at.Unix(), 10), body)
	var header []byte
	for _, signer := range signers {
		if signer.IsZero() {
			continue
		}
		if len(header) > 0 {
			header = append(header, ' ')
		}
		header = append(header, signer.version()...)
		header = append(header, ',')
		header = signer.sign(header, c)
	}
	return string(header)
}

// content is what is signed: "id.timestamp.", and the body after it.
type content struct{ head, body []byte }

func contentOf(id, timestamp string, body []byte) content {
	head := make([]byte, 0, len(id)+len(timestamp)+2)
	head = append(head, id...)
	head = append(head, '.')
	head = append(head, timestamp...)
	head = append(head, '.')
	return content{head, body}
}

// whole is c in one piece, as ed25519 reads it: it goes over it twice.
func (c content) whole() []byte { return slices.Concat(c.head, c.body) }
