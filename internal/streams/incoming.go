package streams

import (
	"net/url"
	"strings"

	"github.com/postdate/postdate"
)

// Incoming is a record as it was read from a stream.
type Incoming struct {
	// Attributes are those of a CloudEvent in binary mode: nil of a record that is none.
	Attributes map[string]any
	// Headers are all headers, attributes too, as they were read.
	Headers     []Header
	ContentType string
	Body        []byte
	// MessageID is the id that its sender gave it, where the broker keeps no place of it.
	MessageID string
}

// Header is the value of a header, whatever the case of its name.
func (r *Incoming) Header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Size is about how many bytes r takes.
func (r *Incoming) Size() int {
	size := len(r.Body)
	for _, h := range r.Headers {
		size += len(h.Name) + len(h.Value)
	}
	return size
}

// AddText adds a header whose value is text. One whose name begins with the prefix of a
// binding is an attribute of a CloudEvent.
func (r *Incoming) AddText(prefix, name, value string) {
	r.Headers = append(r.Headers, Header{name, value})
	r.AddAttribute(prefix, name, value)
}

// AddEncoded is the same of a binding that percent-encodes attributes.
func (r *Incoming) AddEncoded(prefix, name, value string) {
	r.Headers = append(r.Headers, Header{name, value})
	if decoded, err := url.PathUnescape(value); err == nil {
		value = decoded
	} // else the sender does not percent-encode
	r.AddAttribute(prefix, name, value)
}

// AddAttribute adds the value of a header as an attribute, if its name begins with the
// prefix.
func (r *Incoming) AddAttribute(prefix, name string, value any) {
	if len(name) <= len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		if strings.EqualFold(name, "content-type") && r.ContentType == "" {
			r.ContentType, _ = value.(string)
		}
		return
	}
	if r.Attributes == nil {
		r.Attributes = make(map[string]any)
	}
	r.Attributes[strings.ToLower(name[len(prefix):])] = value
}

// RejectedError says why a record cannot be taken, however often it is read.
type RejectedError struct {
	Code   postdate.Code
	Reason string
}

func (r *RejectedError) Error() string { return r.Reason }
