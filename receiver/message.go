package receiver

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postdate/postdate/signature"
)

// maxID bounds a message's id, in bytes: it is part of a primary key.
const maxID = 255

// Message is one message as it arrived.
type Message struct {
	// ID is the same for every copy of the message.
	ID string
	// Type is the message's type, such as "payment_request.due". It is empty
	// where the body is of a form that [ParseMessage] does not know. In the binary
	// mode of CloudEvents it comes from a header, which no signature covers.
	Type string
	// Timestamp is when the event happened; for a schedule, when it was due.
	Timestamp time.Time
	// Data is the message's data, byte for byte as it was sent: JSON, unless a
	// CloudEvent in binary mode says otherwise.
	Data json.RawMessage
	// SentAt is when this copy was sent: the timestamp of a webhook, which its
	// sender signed, or when a broker delivered it.
	SentAt time.Time
	// Header holds the headers of the request, or of the broker's record.
	Header http.Header
	// Body is the whole body as it arrived.
	Body []byte
}

// ParseMessage reads a message that was sent by Postdate, by webhook or over a
// broker, in any of its modes: the standard one, {"type", "timestamp", "data"},
// and CloudEvents, structured or binary. The case of header names does not matter.
// It verifies nothing. Fields that it does not find stay empty, and SentAt is for
// [Receiver.Handle] to fill in: a broker delivers the same headers again later.
func ParseMessage(header map[string][]string, body []byte) Message {
	names := make(http.Header, len(header))
	for name, values := range header { // brokers' clients keep names as they were sent
		canonical := http.CanonicalHeaderKey(name)
		names[canonical] = append(names[canonical], values...)
	}
	m := Message{ID: cmp.Or(names.Get(signature.HeaderID), names.Get(svixID)), Header: names, Body: body}
	if attribute(names, "specversion") != "" {
		m.readBinary()
	} else {
		m.readJSON()
	}
	return m
}

// readBinary reads a CloudEvent whose attributes are headers.
func (m *Message) readBinary() {
	m.ID = cmp.Or(m.ID, attribute(m.Header, "id"))
	m.Type = attribute(m.Header, "type")
	m.Timestamp = parseTime(attribute(m.Header, "time"))
	m.Data = m.Body
}

// readJSON reads the standard form and structured CloudEvents. A field of another
// type than expected, such as a timestamp in seconds, does not spoil the others.
func (m *Message) readJSON() {
	var fields map[string]json.RawMessage
	if json.Unmarshal(m.Body, &fields) != nil {
		return
	}
	m.Type = text(fields["type"])
	m.Timestamp = parseTime(cmp.Or(text(fields["timestamp"]), text(fields["time"])))
	m.Data = fields["data"]
	if _, cloudEvent := fields["specversion"]; cloudEvent {
		m.ID = cmp.Or(m.ID, text(fields["id"]))
	}
}

// validate reports why m can never be marked: every database must be able to keep
// its id, whole.
func (m *Message) validate() error {
	switch {
	case m.ID == "":
		return errors.New("the message has no id, so its copies cannot be recognised")
	case len(m.ID) > maxID:
		return fmt.Errorf("the message's id has %d bytes; at most %d can be kept", len(m.ID), maxID)
	case !utf8.ValidString(m.ID) || strings.ContainsRune(m.ID, 0):
		return errors.New("the message's id is not valid UTF-8 text")
	}
	return nil
}

// attribute is a CloudEvent's attribute as HTTP and NATS (ce-), Kafka (ce_) or
// AMQP (cloudEvents_, cloudEvents:) carry it.
func attribute(header http.Header, name string) string {
	if value := header.Get("ce-" + name); value != "" {
		if decoded, err := url.PathUnescape(value); err == nil { // the others are not encoded
			return decoded
		}
		return value
	}
	return cmp.Or(header.Get("ce_"+name), header.Get("cloudEvents_"+name), header.Get("cloudEvents:"+name))
}

// text is the string that raw holds, or "" where it holds none.
func text(raw json.RawMessage) string {
	var value string
	if len(raw) == 0 || json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return value
}

func parseTime(value string) time.Time {
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}
	}
	return at
}
