package postdate

// Inbound is what a message has of the request by which it came, where a source took it
// in. Its data are the body of that request, of any media type, byte for byte.
type Inbound struct {
	// Source is the id of the source.
	Source string `json:"source"`
	Method string `json:"method"`
	// Path is what followed the source's own path, escaped: with its slash, or empty.
	Path string `json:"path,omitempty"`
	// Query is the query, as it came.
	Query string `json:"query,omitempty"`
	// ContentType is the media type of the body: empty where the sender named none.
	ContentType string `json:"content_type,omitempty"`
	// Packed says that the body is packed by gzip. It is passed on so.
	Packed bool `json:"packed,omitempty"`
	// Headers are those that are passed on, in the order of their names.
	Headers []InboundHeader `json:"headers,omitempty"`
}

// InboundHeader is one line of a request's header. It may be a secret between the sender and
// the receiver.
type InboundHeader struct {
	Name  string `json:"name"`
	Value Secret `json:"value"`
}
