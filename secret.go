package postdate

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"time"
)

// Secret is a text that only its owners may know. However it is printed or
// logged, it does not show; [Secret.Reveal] returns it. It marshals whole, for it
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
	for _, secret := range all {
		if secret.Until.IsZero() || now.Before(secret.Until) {
			valid = append(valid, secret.Secret)
		}
	}
	return valid
}

// Rotate puts secret first; the others stay valid for at most overlap from now. A secret
// that is there already is not duplicated, so that a repeated request changes nothing.
func (all ExpiringSecrets) Rotate(secret Secret, now time.Time, overlap time.Duration) ExpiringSecrets {
	rotated := ExpiringSecrets{{Secret: secret}}
	until := now.Add(overlap)
	for _, previous := range all {
		if previous.Until.IsZero() || previous.Until.After(until) {
			previous.Until = until
		}
		if previous.Until.After(now) && previous.Secret != secret && len(rotated) < maxSecrets {
			rotated = append(rotated, previous)
		}
	}
	return rotated
}

const (
	// DefaultOverlap is how long the previous secret stays valid by default.
	DefaultOverlap = 24 * time.Hour
	// MaxOverlap is the longest that it may.
	MaxOverlap = 30 * 24 * time.Hour
	// maxSecrets bounds how many sign at once: each signature is a part of a header.
	maxSecrets = 5
)
