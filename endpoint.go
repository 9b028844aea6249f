package postdate

import (
	"encoding/json"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Mode is the form in which an endpoint gets its messages.
type Mode string

// The modes.
const (
	Standard              Mode = "standard"               // Standard Webhooks 1.0: {"type","timestamp","data"}
	CloudEventsStructured Mode = "cloudevents_structured" // CloudEvents 1.0, the event as a JSON document
	CloudEventsBinary     Mode = "cloudevents_binary"     // CloudEvents 1.0, attributes as headers, data as body
)

// Scheme is how an endpoint's messages are signed, as Standard Webhooks names it.
type Scheme string

// The schemes.
const (
	HMAC    Scheme = "v1"  // HMAC-SHA256: both sides share the secret
	Ed25519 Scheme = "v1a" // ed25519: the receiver has the public key only
)

// EndpointState is whether an endpoint is sent to.
type EndpointState string

// The states of an endpoint. What is due while it is not enabled is parked.
const (
	Enabled  EndpointState = "enabled"
	Paused   EndpointState = "paused"   // by its owner
	Disabled EndpointState = "disabled" // by its own answers: 410, or failures for too long
)

// Endpoint is a registered receiver, a URL, a stream or a queue to pull from, and what it
// subscribed to.
type Endpoint struct {
	ID  string `json:"id"`
	URL string `json:"url,omitempty"`
	// Stream is the name of a stream, in place of a URL.
	Stream string `json:"stream,omitempty"`
	// Pull: it has neither. Its deliveries wait until a consumer pulls them.
	Pull        bool   `json:"pull,omitempty"`
	Description string `json:"description,omitempty"`
	// EventTypes are what it wants: whole types, "prefix.*", or "*".
	EventTypes []string `json:"event_types"`
	// Headers are sent with each of its messages, beside our own. Their values
	// may be secrets.
	Headers map[string]Secret `json:"headers,omitempty"`
	// Timeout bounds each attempt. 0: [DefaultTimeout].
	Timeout Duration `json:"timeout,omitempty"`
	Retry   *Retry   `json:"retry,omitempty"`
	// RateLimit bounds how many of its attempts begin in a time. Nil: no bound.
	RateLimit *RateLimit `json:"rate_limit,omitempty"`
	// MaxInFlight bounds how many of its attempts are under way at once, over all
	// workers. 0: the operator's setting.
	MaxInFlight int `json:"max_in_flight,omitempty"`
	// Coalesce keeps, of the messages that wait for their turn, only the newest of
	// each entity and type.
	Coalesce bool `json:"coalesce,omitempty"`
	// Canary is another url of it, for some entities. Nil: it has none.
	Canary *Canary `json:"canary,omitempty"`
	// Key says where the data of a message have the key of its record, of an endpoint that is
	// a stream: see [KeyIn]. Empty: the key is the entity, else the id.
	Key       string `json:"key,omitempty"`
	Mode      Mode   `json:"mode"`
	Signature Scheme `json:"signature"`
	// Secrets sign its messages: whsec_ for v1, whsk_ for v1a. Newest first.
	Secrets ExpiringSecrets `json:"secrets"`
	State   EndpointState   `json:"state"`
	// Reason says why it is not enabled.
	Reason string `json:"reason,omitempty"`
	// FailingSince is when the failures began that no success has ended yet.
	FailingSince time.Time `json:"failing_since,omitzero"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
	// Digest is the same for requests that ask for the same endpoint.
	Digest string `json:"digest,omitempty"`
}

const (
	maxEventTypes  = 50
	maxHeaders     = 20
	maxHeaderBytes = 4 << 10
	maxDescription = 256
)

var headerPattern = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")

// reservedHeaders are ours, or the connection's.
var reservedHeaders = map[string]bool{
	"Connection": true, "Content-Length": true, "Content-Type": true, "Content-Encoding": true, "Expect": true,
	"Host": true, "Keep-Alive": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "User-Agent": true,
	"Traceparent": true, "Tracestate": true, "Idempotency-Key": true,
}

// Validate reports the first reason why nothing could ever be sent to e. Plain http
// must be allowed.
func (e Endpoint) Validate(allowHTTP bool) error {
	if err := e.validateReceiver(allowHTTP); err != nil {
		return err
	}
	switch {
	case utf8.RuneCountInString(e.Description) > maxDescription:
		return Errorf(Invalid, "/description", "at most %d characters", maxDescription)
	case len(e.EventTypes) == 0 || len(e.EventTypes) > maxEventTypes:
		return Errorf(Invalid, "/event_types", "1 to %d event types", maxEventTypes)
	case e.Mode != Standard && e.Mode != CloudEventsStructured && e.Mode != CloudEventsBinary:
		return Errorf(Invalid, "/mode", "%q, %q or %q", Standard, CloudEventsStructured, CloudEventsBinary)
	case e.Signature != HMAC && e.Signature != Ed25519:
		return Errorf(Invalid, "/signature", "%q or %q", HMAC, Ed25519)
	case e.Timeout < 0 || e.Timeout.Duration() > MaxTimeout:
		return Errorf(Invalid, "/timeout", "an attempt's timeout is more than 0 and at most %s", MaxTimeout)
	}
	for i, wanted := range e.EventTypes {
		if err := validateSubscription("/event_types/"+strconv.Itoa(i), wanted); err != nil {
			return err
		}
	}
	if err := validateHeaders(e.Headers); err != nil {
		return err
	}
	if err := e.validatePace(); err != nil {
		return err
	}
	if e.Canary != nil {
		if err := e.validateCanary(allowHTTP); err != nil {
			return err
		}
	}
	if e.Retry != nil {
		return e.Retry.Validate()
	}
	return nil
}

// validateReceiver checks that e is a url, a stream, or a queue to pull from.
func (e Endpoint) validateReceiver(allowHTTP bool) error {
	switch {
	case e.Stream == "" && e.Key != "":
		return Errorf(Invalid, "/key", "is for a stream: other messages have none")
	case e.Pull:
		return e.validatePull()
	case e.Stream == "":
		return validateURL("/url", e.URL, allowHTTP)
	case e.URL != "":
		return Errorf(Invalid, "/stream", "url and stream exclude each other")
	case e.Mode == Standard:
		return Errorf(Invalid, "/mode", "a stream gets CloudEvents: %q or %q", CloudEventsBinary, CloudEventsStructured)
	}
	if err := validateKey("/key", e.Key); err != nil {
		return err
	}
	return ValidateStreamName("/stream", e.Stream)
}

// validatePull refuses what has no meaning where nothing is sent.
func (e Endpoint) validatePull() error {
	switch {
	case e.URL != "":
		return Errorf(Invalid, "/url", "pull and url exclude each other")
	case e.Stream != "":
		return Errorf(Invalid, "/stream", "pull and stream exclude each other")
	case len(e.Headers) > 0:
		return Errorf(Invalid, "/headers", "nothing is sent to an endpoint that is pulled from")
	case e.Timeout != 0:
		return Errorf(Invalid, "/timeout", "a pull says how long its lease lasts")
	case e.Mode != Standard:
		return Errorf(Invalid, "/mode", "what is pulled has one form: %q", Standard)
	}
	return nil
}

func validateHeaders(headers map[string]Secret) error {
	size := 0
	seen := make(map[string]bool, len(headers))
	for name, value := range headers {
		pointer := member("/headers", name)
		// Many servers make no difference between "_" and "-".
		canonical := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
		if seen[canonical] {
			return Errorf(Invalid, "/headers", "%s appears twice", canonical)
		}
		seen[canonical] = true
		size += len(name) + len(value)
		switch {
		case !headerPattern.MatchString(name):
			return Errorf(Invalid, "/headers", "%q is not the name of a header", name)
		case reservedHeaders[canonical] || strings.HasPrefix(canonical, "Webhook-") || strings.HasPrefix(canonical, "Ce-"):
			return Errorf(Invalid, pointer, "is set by Postdate, or belongs to the connection")
		case strings.ContainsFunc(value.Reveal(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return Errorf(Invalid, pointer, "a header's value has no control characters")
		}
	}
	if len(headers) > maxHeaders || size > maxHeaderBytes {
		return Errorf(Invalid, "/headers", "at most %d headers and %d bytes in all", maxHeaders, maxHeaderBytes)
	}
	return nil
}

// Subscribes reports whether e subscribed to events of that type.
func (e Endpoint) Subscribes(eventType string) bool {
	for _, wanted := range e.EventTypes {
		prefix, wild := strings.CutSuffix(wanted, "*")
		if wanted == eventType || wild && strings.HasPrefix(eventType, prefix) {
			return true
		}
	}
	return false
}

// Target is e as a sender sees it, at that moment.
func (e Endpoint) Target(now time.Time) Target {
	_, canary := SplitCanaryKey(e.ID)
	return Target{
		URL: e.URL, Stream: e.Stream, Headers: e.Headers, Mode: e.Mode, Key: e.Key, Secrets: e.Secrets.At(now), Canary: canary,
	}
}

// EndpointPatch is what PATCH may alter of an endpoint. What is nil stays.
type EndpointPatch struct {
	URL         *string            `json:"url,omitempty"`
	Stream      *string            `json:"stream,omitempty"`
	Description *string            `json:"description,omitempty"`
	EventTypes  []string           `json:"event_types,omitempty"`
	Headers     *map[string]Secret `json:"headers,omitempty"`
	Timeout     *Duration          `json:"timeout,omitempty"`
	Retry       *Retry             `json:"retry,omitempty"`
	Mode        *Mode              `json:"mode,omitempty"`
	// RateLimit replaces the limit; the zero value removes it.
	RateLimit   *RateLimit `json:"rate_limit,omitempty"`
	MaxInFlight *int       `json:"max_in_flight,omitempty"`
	Coalesce    *bool      `json:"coalesce,omitempty"`
	// Canary replaces the canary; the zero value removes it.
	Canary *Canary `json:"canary,omitempty"`
	Key    *string `json:"key,omitempty"`
}

// Apply is e with p's changes.
func (p EndpointPatch) Apply(e Endpoint) Endpoint {
	set(&e.URL, p.URL)
	set(&e.Stream, p.Stream)
	set(&e.Description, p.Description)
	set(&e.Headers, p.Headers)
	set(&e.Timeout, p.Timeout)
	set(&e.Mode, p.Mode)
	set(&e.MaxInFlight, p.MaxInFlight)
	set(&e.Coalesce, p.Coalesce)
	set(&e.Key, p.Key)
	if p.RateLimit != nil {
		e.RateLimit = p.RateLimit
		if *p.RateLimit == (RateLimit{}) {
			e.RateLimit = nil
		}
	}
	if p.Canary != nil {
		e.Canary = p.Canary
		if p.Canary.IsZero() {
			e.Canary = nil
		}
	}
	if p.EventTypes != nil {
		e.EventTypes = p.EventTypes
	}
	if p.Retry != nil {
		e.Retry = p.Retry
	}
	return e
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// Target is where a message goes, as a sender sees it: resolved for one attempt
// and never kept.
type Target struct {
	URL string
	// Stream is the name of a stream, in place of a URL.
	Stream  string
	Headers map[string]Secret
	Mode    Mode
	// Key says where the data have the record's key: see [KeyIn].
	Key string
	// Secrets sign the message, each by the scheme that its prefix says.
	Secrets []Secret
	// DeliveryID is the id of the delivery within its tenant, by which brokers recognise
	// repetitions. Empty: the message's.
	DeliveryID string
	// Canary is the id of the endpoint's canary, where it goes there, and Mirror says that
	// it is a copy.
	Canary string
	Mirror bool
	// ExpiresAt is when the message is of no use any more. Zero: never.
	ExpiresAt time.Time
}

// MarshalJSON refuses: a target is not kept.
func (Target) MarshalJSON() ([]byte, error) {
	return nil, &json.UnsupportedValueError{Str: "a target is not kept: its secrets would be"}
}
