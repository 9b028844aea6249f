package postdate

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9_:-]{1,128}$`)
	tenantPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// DefaultTenant is whose data it is where nobody says.
const DefaultTenant = "default"

// ValidateID holds id to the form of ids that callers choose: 1 to 128 of
// A-Z a-z 0-9 _ - and ':'. pointer names the field in the answer.
func ValidateID(pointer, id string) error {
	if !idPattern.MatchString(id) {
		return Errorf(Invalid, pointer, "an id is 1 to 128 of A-Z a-z 0-9 _ - :")
	}
	return nil
}

// ValidateTenant holds a tenant's name to its form: 1 to 64 of A-Z a-z 0-9 _ -.
func ValidateTenant(name string) error {
	if !tenantPattern.MatchString(name) {
		return Errorf(Invalid, "", "a tenant is 1 to 64 of A-Z a-z 0-9 _ -")
	}
	return nil
}

// validateOwnID holds id to the form of ids that callers choose for what they send.
func validateOwnID(pointer, id string) error {
	if err := ValidateID(pointer, id); err != nil {
		return err
	}
	if _, _, grouped := SplitGroupedID(id); grouped {
		return Errorf(Invalid, pointer, "ids of this form are made by Postdate")
	}
	return nil
}

// maxName bounds entities and types, in characters.
const maxName = 128

// validateName holds an entity or a type to its form: up to 128 printable
// characters. They stand in the engine's search attributes, in the clear.
func validateName(pointer, name string) error {
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName || !utf8.ValidString(name) {
		return Errorf(Invalid, pointer, "must be 1 to %d printable characters", maxName)
	}
	if strings.ContainsFunc(name, isUnprintable) {
		return Errorf(Invalid, pointer, "must be 1 to %d printable characters: no controls, no line breaks, none that change the direction of text", maxName)
	}
	return nil
}

// isUnprintable finds what people do not see, and could take one name for another by.
func isUnprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Noncharacter_Code_Point)
}

// validateType holds a type to its form: a name without *, which stands for many
// types where they are subscribed to. So what can be sent can be subscribed to.
func validateType(pointer, name string) error {
	if strings.Contains(name, "*") {
		return Errorf(Invalid, pointer, "a type has no *")
	}
	return validateName(pointer, name)
}

// validateSubscription holds a part of event_types to its form: a type,
// "prefix.*", or "*" for all.
func validateSubscription(pointer, wanted string) error {
	prefix, _ := strings.CutSuffix(wanted, ".*")
	if wanted == "*" || validateType(pointer, prefix) == nil && validateName(pointer, wanted) == nil {
		return nil
	}
	return Errorf(Invalid, pointer, `%q is neither a type, nor "prefix.*", nor "*"`, wanted)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// member is the JSON pointer (RFC 6901) to a member of what within points to.
func member(within, name string) string { return within + "/" + pointerEscapes.Replace(name) }
