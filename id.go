package postdate

import (
	"regexp"
	"unicode/utf8"
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9_:-]{1,128}$`)
	tenantPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	namePattern   = regexp.MustCompile(`^[^\x00-\x1f\x7f]{1,128}$`)
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

// validateName holds an entity or a type to its form: up to 128 printable
// characters. They stand in the engine's search attributes, in the clear.
func validateName(pointer, name string) error {
	if !namePattern.MatchString(name) || !utf8.ValidString(name) {
		return Errorf(Invalid, pointer, "must be 1 to 128 printable characters")
	}
	return nil
}
