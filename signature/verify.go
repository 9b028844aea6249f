package signature

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is how far the clocks of sender and receiver may be apart,
// network included, where the receiver says nothing.
const DefaultTolerance = 5 * time.Minute

// Why a message is not verified. [Verify] wraps exactly one of them.
var (
	// ErrNoSecret: there was nothing to verify with.
	ErrNoSecret = errors.New("no secret to verify with")
	// ErrMissingHeader: the message is not signed, or not all of it arrived.
	ErrMissingHeader = errors.New("missing header")
	// ErrMalformed: a header is not in the form that the specification gives it.
	ErrMalformed = errors.New("malformed header")
	// ErrTooOld: sent longer ago than the tolerance. It may be a replay.
	ErrTooOld = errors.New("sent too long ago")
	// ErrTooNew: sent further ahead than the tolerance. A clock is wrong.
	ErrTooNew = errors.New("sent in the future")
	// ErrNoSignature: signed, but not in a way that we know.
	ErrNoSignature = errors.New("no signature of a known version")
	// ErrMismatch: none of the signatures is right: the message was changed, or
	// the secret is another one.
	ErrMismatch = errors.New("no signature matches")
)

// Verify answers nil if body arrived as one who knows one of secrets sent it,
// with the id and the time that header gives. body must be what arrived, byte
// for byte. One right signature is enough; those of other versions than ours
// are passed over. The time must be no further from now than tolerance, either
// way; 0 stands for [DefaultTolerance].
//
// The id is not looked up: within the tolerance a message can be replayed, and
// honest senders repeat too, so a receiver must know the ids that it has seen.
func Verify(header http.Header, body []byte, now time.Time, tolerance time.Duration, secrets ...Secret) error {
	id, err := only(header, HeaderID)
	if err != nil {
		return err
	}
	// A full stop would let id and time be cut elsewhere than where they were signed.
	if strings.Contains(id, ".") {
		return fmt.Errorf("%w: %s contains a full stop", ErrMalformed, HeaderID)
	}
	timestamp, err := only(header, HeaderTimestamp)
	if err != nil {
		return err
	}
	if err := verifyTimestamp(timestamp, now, tolerance); err != nil {
		return err
	}
	signatures, err := known(header, HeaderSignature)
	if err != nil {
		return err
	}
	return verifySignatures(signatures, id, timestamp, body, secrets)
}

// only is the one value of the header name.
func only(header http.Header, name string) (string, error) {
	switch values := header.Values(name); {
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("%w: %s", ErrMissingHeader, name)
	case len(values) > 1:
		return "", fmt.Errorf("%w: %s is there %d times", ErrMalformed, name, len(values))
	default:
		return values[0], nil
	}
}

func verifyTimestamp(text string, now time.Time, tolerance time.Duration) error {
	seconds, err := strconv.ParseUint(text, 10, 62) // a sign would be refused, and so would what time.Unix cannot hold
	if err != nil {
		return fmt.Errorf("%w: %s is not a number of seconds", ErrMalformed, HeaderTimestamp)
	}
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	switch age := now.Sub(time.Unix(int64(seconds), 0)); {
	case age > tolerance:
		return fmt.Errorf("%w: %s ago, where %s are allowed", ErrTooOld, age.Round(time.Second), tolerance)
	case age < -tolerance:
		return fmt.Errorf("%w: %s ahead, where %s are allowed", ErrTooNew, age.Abs().Round(time.Second), tolerance)
	}
	return nil
}

// known lists the signatures in the header name that are of our version, encoded.
func known(header http.Header, name string) ([]string, error) {
	values := header.Values(name)
	if strings.Join(values, "") == "" {
		return nil, fmt.Errorf("%w: %s", ErrMissingHeader, name)
	}
	var signatures []string
	for _, value := range values {
		for item := range strings.SplitSeq(value, " ") {
			if encoded, ok := strings.CutPrefix(item, version+","); ok {
				signatures = append(signatures, encoded)
			}
		}
	}
	if len(signatures) == 0 {
		return nil, fmt.Errorf("%w: %s has none of %s", ErrNoSignature, name, version)
	}
	return signatures, nil
}

func verifySignatures(signatures []string, id, timestamp string, body []byte, secrets []Secret) error {
	tried := 0
	for _, secret := range secrets {
		if secret.IsZero() {
			continue
		}
		tried++
		// Compared encoded: several encodings decode to the same bytes, and only one was sent.
		expected := appendSignature(nil, secret, id, []byte(timestamp), body)
		for _, signature := range signatures {
			if hmac.Equal([]byte(signature), expected) {
				return nil
			}
		}
	}
	if tried == 0 {
		return ErrNoSecret
	}
	return fmt.Errorf("%w: %d given, %d secrets tried", ErrMismatch, len(signatures), tried)
}
