package streams

import (
	"strings"

	"github.com/postdate/postdate"
)

// originalPrefix begins the sender's headers: some of another name steer a broker.
const originalPrefix = "postdate-original-"

// inboundHeaders say how a message came that a source took in.
func inboundHeaders(m postdate.Message) []Header {
	if m.Inbound == nil {
		return nil
	}
	var headers []Header
	for _, header := range []Header{
		{"postdate-source", m.Inbound.Source},
		{"postdate-method", m.Inbound.Method},
		{"postdate-path", m.Inbound.Path},
		{"postdate-query", m.Inbound.Query},
	} {
		if header.Value != "" {
			headers = append(headers, header)
		}
	}
	for _, header := range m.Inbound.Headers {
		headers = append(headers, Header{originalPrefix + strings.ToLower(header.Name), header.Value.Reveal()})
	}
	return headers
}
