package postdate

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"time"
)

// Secret is a text that only its owners may know. However it is printed or
// logged, it does not show; [Secret.Reveal] tells it. It marshals whole, for it
// has to be kept, encrypted; a mark before it lets [HideSecrets] find it.
type Secret string

const (
	redacted = "[secret]"
	mark     = "postdate-secret:"
)

var marked = regexp.MustCompile(`"` + mark + `(?:[^"\\]|\\.)*"`)

// HideSecrets is JSON that holds what was marshalled, without its secrets: for
// showing it to people.
func HideSecrets(data []byte) []byte { return marked.ReplaceAll(data, []byte(`"`+redacted+`"`)) }

// MarshalText answers the secret behind its mark.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mark + string(s)), nil }

// UnmarshalText reads a secret, with its mark or without.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(bytes.TrimPrefix(text, []byte(mark)))
	return nil
}

// Reveal is the text itself.
func (s Secret) Reveal() string { return string(s) }

// String does not show the secret.
func (s Secret) String() string { return redacted }

// Format does not show the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue does not show the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// ExpiringSecret is a secret that signs until a moment: the one before the newest
// goes on signing for a while, so that receivers can change over.
type ExpiringSecret struct {
	Secret Secret `json:"secret"`
	// Until is when it stops signing. The newest has none.
	Until time.Time `json:"until,omitzero"`
}

// ExpiringSecrets are the secrets of one receiver, newest first.
type ExpiringSecrets []ExpiringSecret

// At lists those that sign at that moment.
func (all ExpiringSecrets) At(now time.Time) []Secret {
	var valid []Secret
	for _, each := range all {
		if each.Until.IsZero() || now.Before(each.Until) {
			valid = append(valid, each.Secret)
		}
	}
	return valid
}

// Rotate puts secret first at that moment; those before it go on for overlap at most.
// A secret that is there already stands there once, so that a repeated request changes
// nothing more.
func (all ExpiringSecrets) Rotate(secret Secret, now time.Time, overlap time.Duration) ExpiringSecrets {
	rotated := ExpiringSecrets{{Secret: secret}}
	until := now.Add(overlap)
	for _, each := range all {
		if each.Until.IsZero() || each.Until.After(until) {
			each.Until = until
		}
		if each.Until.After(now) && each.Secret != secret && len(rotated) < maxSecrets {
			rotated = append(rotated, each)
		}
	}
	return rotated
}

const (
	// DefaultOverlap is how long the secret before the newest goes on signing
	// where the caller says nothing.
	DefaultOverlap = 24 * time.Hour
	// MaxOverlap is the longest that it may.
	MaxOverlap = 30 * 24 * time.Hour
	// maxSecrets bounds how many sign at once: each signature is a part of a header.
	maxSecrets = 5
)
