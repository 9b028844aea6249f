package webhook

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/cloudevent"
	"github.com/postdate/postdate/internal/guard"
	"github.com/postdate/postdate/signature"
)

// request is the attempt made at that time, signed. Its errors hold the url.
func (s *Sender) request(ctx context.Context, at time.Time, m postdate.Message, to postdate.Target, signers []signature.Signer) (*http.Request, error) {
	body, headers := encode(m, to.Mode)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	normalize(request.URL)
	request.Host = request.URL.Host
	for name, value := range to.Headers { // before ours, which win
		request.Header.Set(name, value.Reveal())
	}
	maps.Copy(request.Header, s.headers)
	maps.Copy(request.Header, headers)
	if tick := m.Tick; tick != nil {
		request.Header.Set(headerNominalTime, tick.NominalTime.UTC().Format(time.RFC3339))
		if tick.Number > 0 {
			request.Header.Set(headerTick, strconv.Itoa(tick.Number))
		}
	}
	if to.Canary != "" {
		request.Header.Set(headerCanary, to.Canary)
	}
	if to.Mirror {
		request.Header.Set(headerMirror, "true")
	}
	request.Header.Set(signature.HeaderID, m.ID)
	request.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(signature.HeaderSignature, signature.Sign(m.ID, at, body, signers...))
	if m.Inbound != nil {
		addInbound(request.Header, m, to.Mode)
	}
	return request, nil
}

// normalize rewrites a url for the request line and the Host header: its host is the name
// that is dialled, and its query is percent-encoded where necessary.
func normalize(u *url.URL) {
	if host, port := u.Hostname(), u.Port(); !strings.Contains(host, ":") { // else an IPv6 address
		u.Host = guard.Normalize(host)
		if port != "" {
			u.Host += ":" + port
		}
	}
	u.RawQuery = escapeQuery(u.RawQuery)
}

// escapeQuery percent-encodes the bytes that a query must not contain
// (https://url.spec.whatwg.org/#query-percent-encode-set). What is encoded stays as it is.
func escapeQuery(query string) string {
	const hex = "0123456789ABCDEF"
	escaped := make([]byte, 0, len(query))
	for i := range len(query) {
		switch c := query[i]; {
		case c <= ' ', c > '~', c == '"', c == '<', c == '>':
			escaped = append(escaped, '%', hex[c>>4], hex[c&15])
		default:
			escaped = append(escaped, c)
		}
	}
	return string(escaped)
}

// encode is m in the form that mode says: a body, in which the data stand byte
// for byte, and the headers that describe it. They are shared: not to be changed.
func encode(m postdate.Message, mode postdate.Mode) ([]byte, http.Header) {
	switch mode {
	case postdate.CloudEventsStructured:
		return cloudevent.Structured(m), structuredHeaders
	case postdate.CloudEventsBinary:
		return m.Data, binaryHeaders(m)
	default:
		if m.Inbound != nil {
			return m.Data, inboundHeaders(m)
		}
		return standard(m), standardHeaders
	}
}

var standardHeaders = http.Header{"Content-Type": {"application/json"}}

// standard is the body that Standard Webhooks recommends:
// {"type","timestamp","data"}. No data are null.
func standard(m postdate.Message) []byte {
	body := make([]byte, 0, len(m.Type)+len(m.Data)+80)
	body = append(body, `{"type":`...)
	body = cloudevent.AppendString(body, m.Type)
	body = append(body, `,"timestamp":"`...)
	body = m.Timestamp.UTC().AppendFormat(body, time.RFC3339Nano)
	body = append(body, `","data":`...)
	if len(m.Data) == 0 {
		body = append(body, "null"...)
	}
	body = append(body, m.Data...)
	return append(body, '}')
}
