package webhook

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// hasty is a receiver that answers before it has read a request, and closes. It
// speaks TLS where it has a configuration for that.
func hasty(t *testing.T, config *tls.Config, answer string) postdate.Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	scheme := "http://"
	if config != nil {
		listener, scheme = tls.NewListener(listener, config), "https://"
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 100))
			_, _ = io.WriteString(conn, answer)
			conn.Close() // with a reset, for most of the request is unread
		}
	}()
	return target(scheme + listener.Addr().String() + path)
}

func TestSend_ReadsAnAnswerThatComesBeforeTheBodyWasSent(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(nil)
	t.Cleanup(certified.Close)
	transport, ok := certified.Client().Transport.(*http.Transport)
	require.True(t, ok)
	s := open()
	s.transport.TLSClientConfig.RootCAs = transport.TLSClientConfig.RootCAs
	for name, config := range map[string]*tls.Config{"http": nil, "https": {Certificates: certified.TLS.Certificates}} {
		for _, c := range []struct {
			head string
			want postdate.Attempt
		}{
			{"200 OK", postdate.Attempt{Status: 200, Outcome: postdate.Accepted}},
			{"202 Accepted\r\nPostdate-Reschedule: 1h", postdate.Attempt{Status: 202, Outcome: postdate.Rescheduled, RescheduleTo: fixed.Add(time.Hour)}},
			{"410 Gone", postdate.Attempt{Status: 410, Outcome: postdate.Gone}},
			{"413 Content Too Large", postdate.Attempt{Status: 413, Outcome: postdate.Failed}},
			{"503 Service Unavailable\r\nRetry-After: 7", postdate.Attempt{Status: 503, Outcome: postdate.Failed, RetryAfter: postdate.Duration(7 * time.Second)}},
		} {
			t.Run(name+" "+c.head[:3], func(t *testing.T) {
				t.Parallel()
				to := hasty(t, config, "HTTP/1.1 "+c.head+"\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
				large := message
				want := c.want
				want.At, want.Response = fixed, "hello"
				for _, size := range []int{64 << 10, 250 << 10, 2 << 20} {
					large.Data = []byte(`"` + strings.Repeat("x", size) + `"`)
					for range 10 {
						a, err := s.Send(t.Context(), large, to)
						require.NoError(t, err)
						require.Equal(t, want, a, size)
					}
				}
			})
		}
	}
}

// Where nothing came, that is what is said, however much was to be sent.
func TestSend_SaysThatNoAnswerCameBeforeTheBodyWasSent(t *testing.T) {
	t.Parallel()
	large := message
	large.Data = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
	to := hasty(t, nil, "")
	for range 20 {
		a, err := open().Send(t.Context(), large, to)
		require.NoError(t, err)
		require.Equal(t, postdate.Failed, a.Outcome)
		require.Zero(t, a.Status)
		require.Regexp(t, "^connection (broken off|closed without an answer) by "+host(to)+"$", a.Error)
	}
}

// A kept connection that the other end has closed is replaced, also for a large body.
func TestSend_SendsALargeBodyAgainOverANewConnection(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 1)
	server := httptest.NewServer(record(arrived))
	t.Cleanup(server.Close)
	s, to := open(), target(server.URL+path)
	large := message
	large.Data = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
	for range 20 {
		a, err := s.Send(t.Context(), large, to)
		require.NoError(t, err)
		require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
		require.Contains(t, (<-arrived).body, string(large.Data))
		server.CloseClientConnections()
	}
}
