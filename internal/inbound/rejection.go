package inbound

import "fmt"

// Reason is why a request was rejected, for programs.
type Reason string

// The reasons.
const (
	NotSigned    Reason = "not_signed"    // what the signature would be in is missing
	BadSignature Reason = "bad_signature" // none that is there is right
	Malformed    Reason = "malformed"     // a signature, or its time, cannot be read
	TooOld       Reason = "too_old"       // its time is longer ago than the tolerance
	TooNew       Reason = "too_new"       // its time is further ahead
	NoSecret     Reason = "no_secret"     // the source has nothing to verify it with
	NotCovered   Reason = "not_covered"   // the signature does not cover the body
	BadHandshake Reason = "bad_handshake" // a handshake that is not the sender's
)

// RejectionError is the error of a request that is not its sender's. What it says holds nothing
// secret.
type RejectionError struct {
	Reason Reason
	Detail string
}

func (r *RejectionError) Error() string { return r.Detail }

func reject(reason Reason, format string, args ...any) error {
	return &RejectionError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
