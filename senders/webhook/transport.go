package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/postdate/postdate/internal/guard"
)

const (
	dialTimeout = 10 * time.Second
	tlsTimeout  = 10 * time.Second
	// idleTimeout is less than the 60 s after which common load balancers close
	// an idle connection, so that we seldom write into one that is being closed.
	idleTimeout = 55 * time.Second
	// maxIdle and maxIdlePerHost bound the connections kept for the next send.
	maxIdle        = 1024
	maxIdlePerHost = 256
	maxHeaders     = 64 << 10 // bytes of a response
	// pingAfter and pingTimeout find HTTP/2 connections whose other end is gone:
	// all sends to that host would run into their deadlines.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
)

// newDialer makes the only dialer that a sender uses. The guard sees each
// address that it dials, after names are resolved.
func newDialer(g *guard.Guard) *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: g.Control}
}

func newTransport(dialer *net.Dialer) *http.Transport {
	return &http.Transport{
		Proxy:       nil, // a proxy would dial for us, unguarded
		DialContext: dial(dialer),
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(maxIdle), // resuming costs a tenth of a handshake
		},
		TLSHandshakeTimeout:    tlsTimeout,
		DisableCompression:     true, // 16 KiB kept must not mean gigabytes unpacked
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaders,
		ForceAttemptHTTP2:      true, // having our own DialContext would turn it off
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}

// progress is how far a request got.
type progress struct {
	// connected tells whether there was a connection to send it over.
	connected atomic.Bool
}

// watch makes requests with the context that it answers report their progress.
func (s *Sender) watch(ctx context.Context) (context.Context, *progress) {
	p := new(progress)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { p.connected.Store(true) },
		DNSDone: func(done httptrace.DNSDoneInfo) { s.resolving.note(done.Err) },
	}), p
}

// timeLeft is how long ctx leaves until its deadline, for people: rounded,
// since some of it was used up on the way here.
func timeLeft(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	switch {
	case left > 10*time.Second:
		return left.Round(time.Second)
	case left > time.Second:
		return left.Round(100 * time.Millisecond)
	default:
		return left.Round(time.Millisecond)
	}
}
