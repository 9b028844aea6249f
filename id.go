package postdate

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9_:-]{1,128}$`)
	importPattern = regexp.MustCompile(`^[A-Za-z0-9_:.-]{1,128}$`)
	tenantPattern = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)
)

// DefaultTenant is the tenant of requests that name none.
const DefaultTenant = "default"

// ValidateID checks that id is 1 to 128 of A-Z a-z 0-9 _ - and ':'. pointer names the field
// in the error.
func ValidateID(pointer, id string) error {
	if !idPattern.MatchString(id) {
		return Errorf(Invalid, pointer, "an id is 1 to 128 of A-Z a-z 0-9 _ - :")
	}
	return nil
}

// ValidateImport checks the name of an import: 1 to 128 of A-Z a-z 0-9 _ - : and '.'. It is
// kept in a search attribute, unencrypted.
func ValidateImport(pointer, name string) error {
	if !importPattern.MatchString(name) {
		return Errorf(Invalid, pointer, "the name of an import is 1 to 128 of A-Z a-z 0-9 _ - : .")
	}
	return nil
}

// ValidateTenant checks that the name of a tenant is 1 to 64 of a-z 0-9 _ -: no two names
// differ by case alone.
func ValidateTenant(name string) error {
	if !tenantPattern.MatchString(name) {
		return Errorf(Invalid, "", "a tenant is 1 to 64 of a-z 0-9 _ -")
	}
	return nil
}

// validateOwnID checks an id that the caller chose for a schedule or an event.
func validateOwnID(pointer, id string) error {
	if err := ValidateID(pointer, id); err != nil {
		return err
	}
	_, _, event := SplitGroupedID(id)
	_, _, schedule := SplitGroupedScheduleID(id)
	if event || schedule {
		return Errorf(Invalid, pointer, "ids of this form are made by Postdate")
	}
	return nil
}

// maxName bounds entities and types, in characters.
const maxName = 128

// validateName checks an entity or a type: 1 to 128 printable characters. They are kept in
// Temporal's search attributes, unencrypted.
func validateName(pointer, name string) error {
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName || !utf8.ValidString(name) {
		return Errorf(Invalid, pointer, "must be 1 to %d printable characters", maxName)
	}
	if strings.ContainsFunc(name, isUnprintable) {
		return Errorf(Invalid, pointer, "must be 1 to %d printable characters: no controls, no line breaks, none that change the direction of text", maxName)
	}
	return nil
}

// isUnprintable reports whether a character does not show, so that two names could look
// alike.
func isUnprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Noncharacter_Code_Point)
}

// validateType checks a type: a name without *, which is a wildcard in subscriptions. So
// every type that can be published can be subscribed to.
func validateType(pointer, name string) error {
	if strings.Contains(name, "*") {
		return Errorf(Invalid, pointer, "a type has no *")
	}
	return validateName(pointer, name)
}

// validateSubscription checks an item of event_types: a type, "prefix.*", or "*" for all.
func validateSubscription(pointer, wanted string) error {
	prefix, _ := strings.CutSuffix(wanted, ".*")
	if wanted == "*" || validateType(pointer, prefix) == nil && validateName(pointer, wanted) == nil {
		return nil
	}
	return Errorf(Invalid, pointer, `%q is neither a type, nor "prefix.*", nor "*"`, wanted)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// member is the JSON pointer (RFC 6901) to a member of the object at within.
func member(within, name string) string { return within + "/" + pointerEscapes.Replace(name) }
