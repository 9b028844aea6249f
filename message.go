package postdate

import (
	"encoding/json"
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
	//
	// It is recorded as bytes and not as a nested value: whatever it holds, what carries
	// the message can be decoded, and so can the other messages in that.
	Data []byte `json:"payload,omitempty"`
	nestedData
	// TraceParent is the W3C trace context of the request that sent it.
	TraceParent string `json:"traceparent,omitempty"`
	// CloudEvent holds what only CloudEvents have, where it came as one.
	CloudEvent *CloudEvent `json:"cloudevent,omitempty"`
	// Tick says for which tick it is, where it comes of a recurring schedule.
	Tick *TickRef `json:"tick,omitempty"`
	// Inbound is what it has of the request by which it came, where a source took it in:
	// then the data are that request's body, and need not be JSON.
	Inbound *Inbound `json:"inbound,omitempty"`
}

// nestedData is the data of what was recorded with its data as a nested value. It is only
// read.
type nestedData struct {
	Nested json.RawMessage `json:"data,omitempty"`
}

// take is the data in either form.
func (n *nestedData) take(data []byte) []byte {
	if n.Nested != nil {
		data, n.Nested = n.Nested, nil
	}
	return data
}

// UnmarshalJSON reads a message whose data was recorded in either form.
func (m *Message) UnmarshalJSON(text []byte) error {
	type plain Message
	err := json.Unmarshal(text, (*plain)(m))
	m.Data = m.take(m.Data)
	return err
}

// Destination is where a message goes: to a url, to a registered endpoint, to a stream
// or, where it is empty, to those who are subscribed to its type when it is due.
type Destination struct {
	URL      string `json:"url,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// Stream names a topic, subject or exchange of a broker, as the operator configured it.
	Stream string `json:"stream,omitempty"`
}

// Subscribers reports whether d means the endpoints that are subscribed.
func (d Destination) Subscribers() bool { return d == Destination{} }

// Validate reports the first reason why nothing could be sent to d. Plain http must be
// allowed. Whether the endpoint or the stream exists is not known here.
func (d Destination) Validate(allowHTTP bool) error {
	switch {
	case d.Subscribers():
		return nil
	case d.URL != "" && d.Endpoint != "":
		return Errorf(Invalid, "/to/endpoint", "url and endpoint exclude each other")
	case d.Stream != "" && (d.URL != "" || d.Endpoint != ""):
		return Errorf(Invalid, "/to/stream", "url, endpoint and stream exclude each other")
	case d.Endpoint != "":
		return ValidateID("/to/endpoint", d.Endpoint)
	case d.Stream != "":
		return ValidateStreamName("/to/stream", d.Stream)
	default:
		return validateURL("/to/url", d.URL, allowHTTP)
	}
}
