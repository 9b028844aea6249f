package postdate

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// MaxSources is how many sources a tenant may have.
	MaxSources = 100
	// MaxInboundBody bounds the body of a request to a source, unpacked.
	MaxInboundBody = 1 << 20

	maxSourceTokens      = 5
	maxLocators          = 5
	maxForwarded         = 50
	maxAnswer            = 4 << 10
	maxLocatorName       = 256
	minStatus, maxStatus = 200, 299
)

// Source is a registered inbound URL: it takes webhooks of one sender, verifies them, and
// passes them on.
type Source struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Tokens are the last parts of its URL, newest first: their hashes are kept.
	Tokens []SourceToken `json:"tokens"`
	Verify Verification  `json:"verify"`
	// Deduplicate lists what together identifies a message. Nil: what the preset says.
	// Empty: each request is a message.
	Deduplicate []Locator `json:"deduplicate"`
	// Type is where the type of its messages comes from. Nil: what the preset says.
	Type *TypeRule `json:"type,omitempty"`
	// Entity is where the entity of its messages comes from. Nil: they have none.
	Entity *EntityRule `json:"entity,omitempty"`
	// To is where its messages go: to the subscribers of their type, where it is empty.
	To Destination `json:"to"`
	// Retry and Timeout are those of its deliveries, in place of their endpoint's. Nil and 0:
	// the endpoint's, or of a url or a stream the default.
	Retry   *Retry   `json:"retry,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
	// Headers are the names of the headers that are passed on, or "prefix*". Nil: all that
	// may be.
	Headers []string `json:"headers"`
	// Methods are those that are taken. Nil: POST, PUT, PATCH and DELETE.
	Methods []string `json:"methods,omitempty"`
	// Answer is what its sender gets in place of 202.
	Answer    *FixedAnswer `json:"answer,omitempty"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
	// Digest is the same for requests that ask for the same source.
	Digest string `json:"digest,omitempty"`
}

// SourceToken is the last part of a source's URL. Its text is not kept: its hash is.
type SourceToken struct {
	// Prefix is the beginning of the text, by which people know it again.
	Prefix string `json:"prefix"`
	// Hash is the SHA-256 of the text, in hex.
	Hash string `json:"hash"`
	// Until is when it is not valid any more. The newest has none.
	Until time.Time `json:"until,omitzero"`
}

// Valid reports whether t is valid at that moment.
func (t SourceToken) Valid(now time.Time) bool { return t.Until.IsZero() || now.Before(t.Until) }

// RotateTokens puts a token first. The others stay valid for at most overlap from now.
func RotateTokens(all []SourceToken, token SourceToken, now time.Time, overlap time.Duration) []SourceToken {
	rotated := []SourceToken{token}
	until := now.Add(overlap)
	for _, previous := range all {
		if previous.Until.IsZero() || previous.Until.After(until) {
			previous.Until = until
		}
		if previous.Until.After(now) && previous.Hash != token.Hash && len(rotated) < maxSourceTokens {
			rotated = append(rotated, previous)
		}
	}
	return rotated
}

// Locator says where in a request a value is found. One of its fields is set.
type Locator struct {
	Header string `json:"header,omitempty"`
	// Pointer is a JSON pointer (RFC 6901) into the body.
	Pointer string `json:"pointer,omitempty"`
	Query   string `json:"query,omitempty"`
	// Body means a hash of the whole body.
	Body bool `json:"body,omitempty"`
}

// Validate reports the first rule that l breaks, within a field.
func (l Locator) Validate(within string) error {
	set := 0
	for _, isSet := range []bool{l.Header != "", l.Pointer != "", l.Query != "", l.Body} {
		if isSet {
			set++
		}
	}
	switch {
	case set != 1:
		return Errorf(Invalid, within, "names one of header, pointer, query and body")
	case l.Header != "" && !headerPattern.MatchString(l.Header):
		return Errorf(Invalid, within+"/header", "not the name of a header")
	case l.Pointer != "" && (l.Pointer[0] != '/' || len(l.Pointer) > maxLocatorName || !utf8.ValidString(l.Pointer)):
		return Errorf(Invalid, within+"/pointer", `a JSON pointer begins with "/" and has at most %d bytes`, maxLocatorName)
	case len(l.Query) > maxLocatorName:
		return Errorf(Invalid, within+"/query", "at most %d bytes", maxLocatorName)
	}
	return nil
}

// TypeRule says what the type of a message is: Prefix and what is found there, or Prefix and
// Value, where nothing is found or nothing is looked for.
type TypeRule struct {
	Prefix string `json:"prefix,omitempty"`
	Locator
	Value string `json:"value,omitempty"`
}

// Validate reports the first rule that t breaks.
func (t TypeRule) Validate() error {
	if t.Locator != (Locator{}) {
		if err := t.Locator.Validate("/type"); err != nil {
			return err
		}
	}
	if t.Body {
		return Errorf(Invalid, "/type/body", "a type is found in a header, by a pointer, or in the query")
	}
	if t.Prefix+t.Value != "" || t.Locator == (Locator{}) {
		return validateType("/type", t.Prefix+t.Value)
	}
	return nil
}

// Of is the type for what was found: Prefix and Value where that makes none.
func (t TypeRule) Of(found string) string {
	return cmp.Or(firstValid(validateType, t.Prefix, found, t.Value), t.Prefix+"received")
}

// firstValid is the first name that is not empty and, with its prefix, valid: empty where none
// is.
func firstValid(validate func(pointer, name string) error, prefix string, names ...string) string {
	for _, name := range names {
		if name != "" && validate("", prefix+name) == nil {
			return prefix + name
		}
	}
	return ""
}

// FixedAnswer is what a sender wants to read.
type FixedAnswer struct {
	Status      int    `json:"status"`
	ContentType string `json:"content_type,omitempty"`
	Body        string `json:"body,omitempty"`
}

// Validate reports the first rule that a breaks.
func (a FixedAnswer) Validate() error {
	switch {
	case a.Status < minStatus || a.Status > maxStatus:
		return Errorf(Invalid, "/answer/status", "from %d to %d: it is given to what was accepted", minStatus, maxStatus)
	case len(a.Body) > maxAnswer:
		return Errorf(Invalid, "/answer/body", "at most %d KiB", maxAnswer>>10)
	case a.Body != "" && (a.Status == http.StatusNoContent || a.Status == http.StatusResetContent):
		return Errorf(Invalid, "/answer/body", "an answer %d has none", a.Status)
	case !mediaTypePattern.MatchString(a.ContentType) || len(a.ContentType) > maxMediaType:
		return Errorf(Invalid, "/answer/content_type", "not a media type")
	}
	return nil
}

var methodPattern = regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE)$`)

// DefaultMethods are those that a source takes which names none.
var DefaultMethods = []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// Takes reports whether s takes requests of a method.
func (s Source) Takes(method string) bool { return slices.Contains(s.methods(), method) }

func (s Source) methods() []string {
	if s.Methods == nil {
		return DefaultMethods
	}
	return s.Methods
}

// Allow is what the header Allow says of s.
func (s Source) Allow() string {
	return strings.Join(append([]string{http.MethodHead, http.MethodOptions}, s.methods()...), ", ")
}

// Validate reports the first rule that s breaks. Plain http must be allowed. Whether its
// endpoint or stream exists, and its preset, is not known here.
func (s Source) Validate(allowHTTP bool) error {
	if err := validateName("/name", s.Name); err != nil {
		return err
	}
	if err := s.Verify.Validate(); err != nil {
		return err
	}
	if len(s.Deduplicate) > maxLocators {
		return Errorf(Invalid, "/deduplicate", "at most %d", maxLocators)
	}
	for i, locator := range s.Deduplicate {
		if err := locator.Validate("/deduplicate/" + strconv.Itoa(i)); err != nil {
			return err
		}
	}
	if s.Type != nil {
		if err := s.Type.Validate(); err != nil {
			return err
		}
	}
	if s.Entity != nil {
		if err := s.Entity.Validate(); err != nil {
			return err
		}
	}
	if err := s.To.Validate(allowHTTP); err != nil {
		return err
	}
	if err := s.validateAttempts(); err != nil {
		return err
	}
	if s.Answer != nil {
		if err := s.Answer.Validate(); err != nil {
			return err
		}
	}
	return s.validateForm()
}

// validateAttempts reports the first rule that its retry and its timeout break. Subscribers
// have their own.
func (s Source) validateAttempts() error {
	switch {
	case s.Retry != nil && s.To.Subscribers():
		return Errorf(Invalid, "/retry", "without to, the endpoints that subscribed say how they are tried")
	case s.Timeout != 0 && s.To.Subscribers():
		return Errorf(Invalid, "/timeout", "without to, the endpoints that subscribed say how long an attempt may take")
	case s.Timeout < 0 || s.Timeout.Duration() > MaxTimeout:
		return Errorf(Invalid, "/timeout", "an attempt's timeout is more than 0 and at most %s", MaxTimeout)
	case s.Retry != nil:
		return s.Retry.Validate()
	}
	return nil
}

func (s Source) validateForm() error {
	if len(s.Headers) > maxForwarded {
		return Errorf(Invalid, "/headers", "at most %d", maxForwarded)
	}
	for i, name := range s.Headers {
		if !headerPattern.MatchString(strings.TrimSuffix(name, "*")) && name != "*" {
			return Errorf(Invalid, "/headers/"+strconv.Itoa(i), `neither the name of a header, nor "prefix*"`)
		}
	}
	for i, method := range s.Methods {
		if !methodPattern.MatchString(method) {
			return Errorf(Invalid, "/methods/"+strconv.Itoa(i), "GET, POST, PUT, PATCH or DELETE")
		}
	}
	if s.Methods != nil && len(s.Methods) == 0 {
		return Errorf(Invalid, "/methods", "at least one")
	}
	return nil
}

// SourcePatch is a change of a source. What is nil stays.
type SourcePatch struct {
	Name *string `json:"name,omitempty"`
	// Verify replaces all of it. Without secrets, those that there are stay.
	Verify      *Verification `json:"verify,omitempty"`
	Deduplicate *[]Locator    `json:"deduplicate,omitempty"`
	Type        *TypeRule     `json:"type,omitempty"`
	// Entity is removed where it is empty, and so is Retry.
	Entity *EntityRule  `json:"entity,omitempty"`
	To     *Destination `json:"to,omitempty"`
	Retry  *Retry       `json:"retry,omitempty"`
	// Timeout is removed by 0.
	Timeout *Duration    `json:"timeout,omitempty"`
	Headers *[]string    `json:"headers,omitempty"`
	Methods *[]string    `json:"methods,omitempty"`
	Answer  *FixedAnswer `json:"answer,omitempty"`
}

// Apply is s as p changes it.
func (p SourcePatch) Apply(s Source) Source {
	set(&s.Name, p.Name)
	if p.Verify != nil {
		secrets := s.Verify.Secrets
		s.Verify = *p.Verify
		if s.Verify.Secrets == nil {
			s.Verify.Secrets = secrets
		}
	}
	set(&s.Deduplicate, p.Deduplicate)
	if p.Type != nil {
		s.Type = p.Type
	}
	if p.Entity != nil {
		s.Entity = p.Entity
		if *p.Entity == (EntityRule{}) {
			s.Entity = nil
		}
	}
	set(&s.To, p.To)
	if p.Retry != nil {
		s.Retry = p.Retry
		if p.Retry.isEmpty() {
			s.Retry = nil
		}
	}
	set(&s.Timeout, p.Timeout)
	set(&s.Headers, p.Headers)
	set(&s.Methods, p.Methods)
	if p.Answer != nil {
		s.Answer = p.Answer
	}
	return s
}
