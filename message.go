package postdate

import (
	"encoding/json"
	"net/url"
	"time"
)

// Message is what a receiver gets, the same on every attempt.
type Message struct {
	// ID is sent as webhook-id. Receivers deduplicate by it.
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	// Entity is the one user, account or payment that the message is about.
	Entity string `json:"entity,omitempty"`
	Type   string `json:"type"`
	// Timestamp is when the thing happened: for a schedule, when it was due.
	Timestamp time.Time `json:"timestamp"`
	// Data is opaque: any JSON value, never looked into. Its insignificant
	// white space is not kept; its numbers, keys and their order are.
	Data json.RawMessage `json:"data,omitempty"`
	// TraceParent is the W3C trace context of the request that sent it.
	TraceParent string `json:"traceparent,omitempty"`
}

// Destination is where a message goes.
type Destination struct {
	URL string `json:"url"`
}

// Validate reports the first reason that nothing could be sent to d. Plain
// http is for whoever allows it.
func (d Destination) Validate(allowHTTP bool) error {
	const pointer = "/to/url"
	u, err := url.Parse(d.URL)
	switch {
	case d.URL == "":
		return Errorf(Invalid, pointer, "a message needs a url to go to")
	case len(d.URL) > 2048:
		return Errorf(Invalid, pointer, "a url has at most 2048 characters")
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return Errorf(Invalid, pointer, "not an absolute https url")
	case u.Scheme == "http" && !allowHTTP:
		return Errorf(Invalid, pointer, "plain http is not allowed here: use https, or have the operator set POSTDATE_ALLOW_HTTP=true")
	case u.User != nil:
		return Errorf(Invalid, pointer, "a url must not carry a user name or password: receivers are told who sends by the signature")
	}
	return nil
}
