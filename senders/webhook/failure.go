package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/postdate/postdate/internal/guard"
)

// explain says in a sentence why no answer came from target: limit is how long
// was waited for it, connected whether there was a connection. It holds no more
// of target than host and port, for a path may be a secret.
func explain(err error, target *url.URL, limit time.Duration, connected bool) string {
	host, address := target.Hostname(), hostPort(target)

	if errors.Is(err, guard.ErrRefused) { // to which one is nobody's business: it may be one of ours
		return host + " does not lead to a public address"
	}
	if sentence := explainName(err, host); sentence != "" {
		return sentence
	}
	if errors.Is(err, context.DeadlineExceeded) {
		if connected {
			return fmt.Sprintf("no answer from %s within %s", address, limit)
		}
		if _, ok := errors.AsType[*net.OpError](err); ok { // the dialer's own bound, not the attempt's
			limit = min(limit, dialTimeout)
		}
		return fmt.Sprintf("no connection to %s within %s", address, limit)
	}
	if sentence := explainTLS(err, host, address); sentence != "" {
		return sentence
	}
	if sentence := explainConnection(err, address); sentence != "" {
		return sentence
	}
	return fmt.Sprintf("the request to %s failed%s", address, cause(err, target))
}

// explainBody says why an answer was not read to its end.
func explainBody(err error, limit time.Duration) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Sprintf("the answer was not complete within %s", limit)
	}
	return "the answer broke off"
}

func explainName(err error, host string) string {
	failure, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return ""
	case failure.IsNotFound:
		return "name " + host + " does not resolve"
	case failure.IsTimeout:
		return "name " + host + " could not be looked up: its name server does not answer"
	default:
		return "name " + host + " could not be looked up: its name server fails"
	}
}

func explainTLS(err error, host, address string) string {
	if invalid, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		reason := strings.TrimPrefix(invalid.Err.Error(), "x509: ")
		return fmt.Sprintf("TLS certificate of %s is not valid: %s", host, excerpt(reason))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return address + " does not speak TLS: should its url begin with http instead of https?"
	}
	if _, reason, ok := strings.Cut(err.Error(), "tls: "); ok { // its other errors have no types
		return fmt.Sprintf("TLS with %s failed: %s", address, excerpt(reason))
	}
	return ""
}

func explainConnection(err error, address string) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused by " + address
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection broken off by " + address
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed without an answer by " + address
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to " + address
	}
	if failure, ok := errors.AsType[net.Error](err); ok && failure.Timeout() {
		return fmt.Sprintf("no connection to %s within %s", address, dialTimeout)
	}
	return ""
}

// cause is the library's text of err, unless that holds more of target than its host.
func cause(err error, target *url.URL) string {
	said := err.Error()
	for _, secret := range []string{target.Path, target.EscapedPath(), target.RawQuery} {
		if len(secret) > 1 && strings.Contains(said, secret) {
			return ""
		}
	}
	said = strings.TrimPrefix(strings.TrimPrefix(said, "net/"), "http: ")
	return ": " + excerpt(said)
}

// hostPort is where target is dialled, before names are resolved.
func hostPort(target *url.URL) string {
	port := target.Port()
	switch {
	case port != "":
	case target.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(target.Hostname(), port)
}
