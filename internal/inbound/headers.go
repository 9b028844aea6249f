package inbound

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/postdate/postdate"
)

const (
	// maxForwarded and maxForwardedBytes bound the headers that are passed on.
	maxForwarded      = 100
	maxForwardedBytes = 16 << 10
)

// dropped are headers that are never passed on: those of the connection, what proxies on the
// way add, what shows who the sender is to us, and what says how the body is written, which
// is told elsewhere.
var dropped = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	"Upgrade": true, "Expect": true, "Http2-Settings": true, "Host": true, "Content-Length": true, "Content-Encoding": true,
	"Content-Type": true, "Accept-Encoding": true,
	"Authorization": true, "Proxy-Authorization": true, "Proxy-Authenticate": true, "Cookie": true, "Cookie2": true, "Set-Cookie": true,
	"Forwarded": true, "Via": true, "X-Real-Ip": true,
	"Traceparent": true, "Tracestate": true, "Baggage": true,
}

// droppedPrefixes begin headers that are never passed on: a receiver takes them for a proxy's
// or for ours.
var droppedPrefixes = []string{"X-Forwarded-", "Postdate-", "Sec-"}

// forwarded are the headers that are passed on, in the order of their names. Too many are
// refused, not cut.
func forwarded(s postdate.Source, header http.Header) ([]postdate.InboundHeader, error) {
	ofConnection := make(map[string]bool)
	for _, value := range header.Values("Connection") {
		for name := range strings.SplitSeq(value, ",") {
			ofConnection[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	var kept []postdate.InboundHeader
	size := 0
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if ofConnection[name] || isDropped(name) || !isWanted(s.Headers, name) {
			continue
		}
		for _, value := range header[name] {
			if !isSendable(value) {
				continue
			}
			kept = append(kept, postdate.InboundHeader{Name: name, Value: postdate.Secret(value)})
			size += len(name) + len(value)
		}
	}
	if len(kept) > maxForwarded || size > maxForwardedBytes {
		return nil, postdate.Errorf(postdate.Invalid, "",
			"more than %d headers, or %d KiB of them, are to be passed on: name those that are needed", maxForwarded, maxForwardedBytes>>10)
	}
	return kept, nil
}

// isDropped reports whether a header is never passed on, also where it is written with "_"
// for "-": some servers take that for the same.
func isDropped(name string) bool {
	name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	return dropped[name] || slices.ContainsFunc(droppedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// isWanted reports whether a source names a header to pass on.
func isWanted(wanted []string, name string) bool {
	return wanted == nil || slices.ContainsFunc(wanted, func(pattern string) bool {
		prefix, isPrefix := strings.CutSuffix(pattern, "*")
		if isPrefix {
			return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
		}
		return strings.EqualFold(pattern, name)
	})
}

// isSendable reports whether a value can be kept, and sent again as it is.
func isSendable(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
