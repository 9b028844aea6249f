package postdate

import (
	"errors"
	"fmt"
	"time"
)

// Code is the kind of an [Error]: what a program, rather than a person, reads.
type Code string

// The error vocabulary. The HTTP API translates it to status codes in one table.
const (
	Invalid      Code = "invalid"      // a value breaks a rule; Pointer names it
	Unauthorized Code = "unauthorized" // no key, or one we don't know
	Forbidden    Code = "forbidden"    // a key that does not open this
	NotFound     Code = "not_found"    // nothing of that id
	Conflict     Code = "conflict"     // it is not in a state that allows this
	Unavailable  Code = "unavailable"  // not now; the same call may work later

	TooManyRequests Code = "too_many_requests" // more than the key's rate allows

	// QuotaPending and the others are the quotas of a tenant, each of which refuses by a code of its own.
	QuotaPending    Code = "quota_pending"    // it has as many messages pending as it may
	QuotaBytes      Code = "quota_bytes"      // it keeps as many bytes as it may
	QuotaDeliveries Code = "quota_deliveries" // one request makes more deliveries than it may
	QuotaRequests   Code = "quota_requests"   // it has as many requests under way as it may
	QuotaRate       Code = "quota_rate"       // all of its keys together make more requests than they may

	Overloaded Code = "overloaded" // too much waits already, whosever it is
)

// IsRefusal reports whether nothing was accepted for the sake of what is there already: a
// quota of the tenant, or the backlog.
func (c Code) IsRefusal() bool {
	switch c {
	case QuotaPending, QuotaBytes, QuotaDeliveries, QuotaRequests, QuotaRate, Overloaded:
		return true
	default:
		return false
	}
}

// Error is a failure that is explained to the caller.
type Error struct {
	Code Code
	// Pointer is the JSON pointer (RFC 6901) of the field at fault, if one is.
	Pointer string
	Detail  string
	// RetryAfter is when to try again: 0 where nobody knows.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	if e.Pointer == "" {
		return e.Detail
	}
	return e.Pointer + ": " + e.Detail
}

// Errorf makes an [Error]. pointer is empty where no single field is at fault.
func Errorf(code Code, pointer, format string, args ...any) *Error {
	return &Error{Code: code, Pointer: pointer, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf answers the code of the first [Error] in err's chain, or "".
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
