package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/guard"
)

// raw is a destination where answer speaks to each connection itself, after
// the request has come.
func raw(t *testing.T, answer func(*net.TCPConn)) postdate.Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			answer(conn.(*net.TCPConn))
			conn.Close()
		}
	}()
	return target("http://" + listener.Addr().String() + path)
}

func requireFailed(t *testing.T, a postdate.Attempt, want string) {
	t.Helper()
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Zero(t, a.Status)
	require.Contains(t, a.Error, want)
	require.NotContains(t, a.Error, "p4th")
	require.NotContains(t, a.Error, "qu3ry")
	require.NotContains(t, a.Error, secret.Reveal())
}

func host(to postdate.Target) string {
	rest := to.URL[strings.Index(to.URL, "//")+2:]
	return rest[:strings.IndexByte(rest, '/')]
}

func TestSend_SaysWhyNoAnswerCame(t *testing.T) {
	t.Parallel()
	s := open()
	for want, answer := range map[string]func(*net.TCPConn){
		"connection closed without an answer by ": func(*net.TCPConn) {},
		"connection broken off by ":               func(c *net.TCPConn) { _ = c.SetLinger(0) },
		`malformed HTTP response "SSH-2.0-x"`:     func(c *net.TCPConn) { _, _ = c.Write([]byte("SSH-2.0-x\r\n\r\n")) },
		"response headers exceeded": func(c *net.TCPConn) {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeaders*2) + "\r\n\r\n"))
			_, _ = c.Read(make([]byte, 1)) // until the sender hangs up
		},
	} {
		to := raw(t, answer)
		a := send(t, s, to)
		requireFailed(t, a, want)
		require.Contains(t, a.Error, host(to))
	}
}

func TestSend_SaysThatTheConnectionWasRefused(t *testing.T) {
	t.Parallel()
	a := send(t, open(), target("http://127.0.0.1:1"+path))
	requireFailed(t, a, "connection refused by 127.0.0.1:1")
}

func TestSend_DoesNotTellAReceiversEchoOfThePath(t *testing.T) {
	t.Parallel()
	a := send(t, open(), raw(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("POST " + path + "\r\n\r\n")) }))
	requireFailed(t, a, "the request to 127.0.0.1:")
}

func TestSend_SaysThatAUrlCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://[::1" + path, "http://h\x00" + path, "://" + path} {
		requireFailed(t, send(t, open(), target(url)), "the destination's url cannot be read")
	}
	for _, url := range []string{"ftp://127.0.0.1" + path, "http://" + path} {
		requireFailed(t, send(t, open(), target(url)), "failed")
	}
}

func TestSend_SaysHowLongItWaited(t *testing.T) {
	t.Parallel()
	s := open()
	to := serve(t, stuck(t))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	a, err := s.Send(ctx, message, to)
	require.NoError(t, err)
	requireFailed(t, a, "no answer from "+host(to)+" within ")
	require.Regexp(t, `within \d+ms$`, a.Error)
}

func TestSend_SaysThatThereWasNotEvenAConnection(t *testing.T) {
	t.Parallel()
	s := open()
	s.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	a, err := s.Send(ctx, message, target("https://slow.example"+path))
	require.NoError(t, err)
	requireFailed(t, a, "no connection to slow.example:443 within ")
	require.Regexp(t, `within \d+ms$`, a.Error)
}

func TestTimeLeft_IsRoundedForPeople(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]string{
		15*time.Second - 9*time.Millisecond: "15s",
		2*time.Second - 9*time.Millisecond:  "2s",
		time.Hour:                           "1h0m0s",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		require.Equal(t, want, timeLeft(ctx).String())
		cancel()
	}
}

func TestSend_GivesUpDiallingBeforeALongDeadline(t *testing.T) {
	t.Parallel()
	s := open()
	s.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded} // as the dialer says of its own timeout
	}
	a := send(t, s, target("http://slow.example"+path))
	requireFailed(t, a, "no connection to slow.example:80 within 10s")
}

func TestSend_DialsNoAddressOfOurs(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("nothing may arrive") }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	strict := New(Config{})
	for host, name := range map[string]string{
		"127.0.0.1": "127.0.0.1", "[::ffff:127.0.0.1]": "::ffff:127.0.0.1", "0.0.0.0": "0.0.0.0", "10.0.0.1": "10.0.0.1",
		"169.254.169.254": "169.254.169.254",
	} {
		a := send(t, strict, target("http://"+host+":"+port+path))
		requireFailed(t, a, name+" does not lead to a public address")
	}
	other := New(Config{Guard: guard.New(guard.Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})})
	requireFailed(t, send(t, other, target(server.URL+path)), "127.0.0.1 does not lead to a public address")
}

// A proxy would dial for us, where no guard sees it.
func TestNew_TakesNoProxyFromTheEnvironment(t *testing.T) {
	t.Parallel()
	require.Nil(t, New(Config{}).transport.Proxy)
}

// nameServer answers every question with code and no address, but those for the root.
func nameServer(t *testing.T, code dnsmessage.RCode) *net.Resolver {
	t.Helper()
	return nameServerOf(t, func(name string) dnsmessage.RCode {
		if name == "." {
			return dnsmessage.RCodeNameError
		}
		return code
	})
}

func nameServerOf(t *testing.T, codeOf func(name string) dnsmessage.RCode) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(packet[:size]) != nil {
				continue
			}
			m.Response, m.RCode, m.Additionals = true, codeOf(m.Questions[0].Name.String()), nil
			if reply, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestSend_SaysThatANameDoesNotResolve(t *testing.T) {
	t.Parallel()
	for code, want := range map[dnsmessage.RCode]string{
		dnsmessage.RCodeNameError:     "name crm.example.com does not resolve",
		dnsmessage.RCodeServerFailure: "name crm.example.com could not be looked up: its name server fails",
	} {
		s := open()
		s.dialer.Resolver = nameServer(t, code)
		requireFailed(t, send(t, s, target("http://crm.example.com"+path)), want)
	}
}

func secure(t *testing.T, config *tls.Config) (*httptest.Server, postdate.Target) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = config
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, target(server.URL + path)
}

func TestSend_SaysWhatIsWrongWithACertificate(t *testing.T) {
	t.Parallel()
	_, to := secure(t, nil)
	requireFailed(t, send(t, open(), to), "TLS certificate of 127.0.0.1 is not valid: certificate signed by unknown authority")

	server, to := secure(t, nil)
	s := open()
	s.transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	s.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return s.dialer.DialContext(ctx, network, host(to)) // whatever the name
	}
	requireFailed(t, send(t, s, target("https://crm.example.org"+path)),
		"TLS certificate of crm.example.org is not valid: certificate is valid for example.com")

	certificate, roots := expired(t)
	_, to = secure(t, &tls.Config{Certificates: []tls.Certificate{certificate}})
	s = open()
	s.transport.TLSClientConfig.RootCAs = roots
	requireFailed(t, send(t, s, to), "TLS certificate of 127.0.0.1 is not valid: certificate has expired")
}

func TestSend_SaysThatTLSFailed(t *testing.T) {
	t.Parallel()
	_, to := secure(t, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	requireFailed(t, send(t, open(), to), "TLS with "+host(to)+" failed: protocol version not supported")

	plain := serve(t, say(""))
	plain.URL = strings.Replace(plain.URL, "http:", "https:", 1)
	requireFailed(t, send(t, open(), plain), host(plain)+" does not speak TLS")
}

// expired is a certificate of yesterday, and the roots that would trust it.
func expired(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     time.Now().Add(-24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
