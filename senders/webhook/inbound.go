package webhook

import (
	"net/http"

	"github.com/postdate/postdate"
)

// The headers that say how a message came that a source took in.
const (
	headerSource = "Postdate-Source"
	headerMethod = "Postdate-Method"
	headerPath   = "Postdate-Path"
	headerQuery  = "Postdate-Query"
	// originalPrefix begins the sender's header where we have one of the same name.
	originalPrefix = "Postdate-Original-"
)

// inboundHeaders describe a body that is passed on as it came.
func inboundHeaders(m postdate.Message) http.Header {
	headers := http.Header{}
	if m.Inbound.ContentType != "" {
		headers.Set("Content-Type", m.Inbound.ContentType)
	}
	return headers
}

// addInbound adds to the headers of a request, which are complete, how its message came,
// and those of the sender's that are passed on. Of the same name ours stay, and the
// sender's gets another.
func addInbound(headers http.Header, m postdate.Message, mode postdate.Mode) {
	in := m.Inbound
	ours := headers.Clone()
	ours.Del("Idempotency-Key") // it is never sent
	for name, value := range map[string]string{
		headerSource: in.Source, headerMethod: in.Method, headerPath: in.Path, headerQuery: escapeQuery(in.Query),
	} {
		if value != "" {
			headers.Set(name, value)
		}
	}
	if in.Packed && mode != postdate.CloudEventsStructured { // there it is unpacked
		headers.Set("Content-Encoding", "gzip")
	}
	for _, header := range in.Headers {
		name := http.CanonicalHeaderKey(header.Name)
		if _, taken := ours[name]; taken || name == "Idempotency-Key" {
			name = originalPrefix + name
		}
		headers[name] = append(headers[name], header.Value.Reveal())
	}
}
