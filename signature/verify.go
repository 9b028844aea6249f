package signature

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is how far the clocks of sender and receiver may be apart,
// network included, where the receiver says nothing.
const DefaultTolerance = 5 * time.Minute

// maxSignatures is how many of one version are looked at: each of a forger's
// costs time, and honest senders have a few while they rotate.
const maxSignatures = 16

// Why a message is not verified. [Verify] wraps exactly one of them.
var (
	// ErrNoSecret: there was no secret and no key to verify with.
	ErrNoSecret = errors.New("no secret to verify with")
	// ErrMissingHeader: the message is not signed, or not all of it arrived.
	ErrMissingHeader = errors.New("missing header")
	// ErrMalformed: a header is not in the form that the specification gives it.
	ErrMalformed = errors.New("malformed header")
	// ErrTooOld: sent longer ago than the tolerance. It may be a replay.
	ErrTooOld = errors.New("sent too long ago")
	// ErrTooNew: sent further ahead than the tolerance. A clock is wrong.
	ErrTooNew = errors.New("sent in the future")
	// ErrNoSignature: signed, but in no way that what was given can verify.
	ErrNoSignature = errors.New("no signature of a known version")
	// ErrMismatch: none of the signatures is right: the message was changed, or
	// the secret is another one.
	ErrMismatch = errors.New("no signature matches")
)

// Verifier verifies signatures: a [Secret] those of version "v1", a [VerifyKey]
// those of "v1a". There are no others.
type Verifier interface {
	// IsZero reports whether it is a zero value, which verifies nothing.
	IsZero() bool
	version() string
	// verifies reports whether one of signatures, in base64, is that of c.
	verifies(signatures []string, c content) bool
}

// ParseVerifier reads a [Secret] or a [VerifyKey], whichever the prefix of text
// says. Its errors wrap [ErrSecret] or [ErrKey] and show nothing of text.
func ParseVerifier(text string) (Verifier, error) {
	switch {
	case strings.HasPrefix(text, secretPrefix):
		return ParseSecret(text)
	case strings.HasPrefix(text, verifyPrefix):
		return ParseVerifyKey(text)
	default:
		return nil, fmt.Errorf("%w: it begins neither with %q nor with %q", ErrSecret, secretPrefix, verifyPrefix)
	}
}

// Verify answers nil if body arrived with the id and the time that header gives,
// as somebody sent it who knows one of the secrets among verifiers, or the
// signing key of one of the public keys. body must be what arrived, byte for
// byte. One right signature is enough; those of versions that no verifier is for
// are passed over. The time must be no further from now than tolerance, either
// way; 0 stands for [DefaultTolerance].
//
// The id is not looked up: within the tolerance a message can be replayed, and
// honest senders repeat too, so a receiver must know the ids that it has seen.
func Verify(header http.Header, body []byte, now time.Time, tolerance time.Duration, verifiers ...Verifier) error {
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
	signatures, err := byVersion(header, HeaderSignature)
	if err != nil {
		return err
	}
	return verifySignatures(signatures, contentOf(id, timestamp, body), verifiers)
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

// byVersion lists the signatures in the header name, encoded, by their versions.
func byVersion(header http.Header, name string) (map[string][]string, error) {
	values := header.Values(name)
	if strings.Join(values, "") == "" {
		return nil, fmt.Errorf("%w: %s", ErrMissingHeader, name)
	}
	signatures := map[string][]string{}
	for _, value := range values {
		for item := range strings.SplitSeq(value, " ") {
			version, encoded, ok := strings.Cut(item, ",")
			if ok && len(signatures[version]) < maxSignatures {
				signatures[version] = append(signatures[version], encoded)
			}
		}
	}
	return signatures, nil
}

func verifySignatures(signatures map[string][]string, c content, verifiers []Verifier) error {
	var versions []string
	given := 0
	for _, verifier := range verifiers {
		if verifier.IsZero() {
			continue
		}
		version := verifier.version()
		if !slices.Contains(versions, version) {
			versions = append(versions, version)
			given += len(signatures[version])
		}
		if len(signatures[version]) > 0 && verifier.verifies(signatures[version], c) {
			return nil
		}
	}
	switch {
	case len(versions) == 0:
		return ErrNoSecret
	case given == 0:
		return fmt.Errorf("%w: %s has none of %s", ErrNoSignature, HeaderSignature, strings.Join(versions, " or "))
	default:
		return fmt.Errorf("%w: %d given", ErrMismatch, given)
	}
}
