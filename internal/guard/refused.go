package guard

import (
	"errors"
	"net/netip"
)

// ErrRefused is what each [RefusedError] is.
var ErrRefused = errors.New("must not be dialled")

// RefusedError says what must not be dialled, and why.
type RefusedError struct {
	// Host is the host as it was given. Empty where an address was dialled.
	Host string
	// Addr is the address that it stands for, where it stands for one.
	Addr netip.Addr
	// Reason follows Host or Addr in a sentence: "is private".
	Reason string
	// Allowable reports whether the operator could allow it.
	Allowable bool
}

func (e *RefusedError) Error() string {
	text := "host " + e.Host + " " + e.Reason
	if e.Host == "" {
		text = "address " + e.Addr.String() + " " + e.Reason
	}
	if e.Allowable {
		text += ": not dialled unless the operator allows it with POSTDATE_ALLOW_NETWORKS"
	}
	return text
}

// Is makes every RefusedError an [ErrRefused].
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }
