package webhook

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func say(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func TestSend_KeepsTheBeginningOfTheAnswer(t *testing.T) {
	t.Parallel()
	s := open()
	const most = postdate.MaxResponse
	for name, c := range map[string]struct{ said, kept string }{
		"nothing":               {"", ""},
		"little":                {"thanks", "thanks"},
		"as much as is kept":    {strings.Repeat("x", most), strings.Repeat("x", most)},
		"one byte more":         {strings.Repeat("x", most) + "y", strings.Repeat("x", most)},
		"megabytes":             {strings.Repeat("x", 4<<20), strings.Repeat("x", most)},
		"a character cut":       {strings.Repeat("x", most-1) + "é!", strings.Repeat("x", most-1)},
		"a long character cut":  {strings.Repeat("x", most-3) + "🦊", strings.Repeat("x", most-3)},
		"a character that fits": {strings.Repeat("x", most-2) + "é!", strings.Repeat("x", most-2) + "é"},
		"bytes that are none":   {"a\xff\xfeb\xc3", "a\uFFFDb\uFFFD"},
		"compressed":            {"\x1f\x8b\x08\x00", "\x1f\uFFFD\x08\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := send(t, s, serve(t, say(c.said)))
			require.Equal(t, postdate.Accepted, a.Outcome)
			require.Equal(t, c.kept, a.Response)
			require.Empty(t, a.Error)
		})
	}
}

func TestText_IsAlwaysValidAndNeverTooLong(t *testing.T) {
	t.Parallel()
	for _, said := range []string{
		strings.Repeat("\xffx", 100), strings.Repeat("🦊", 100), strings.Repeat("\xf0\x9f", 100), strings.Repeat("x", 63) + "\xff",
	} {
		for limit := range 64 {
			kept := text([]byte(said), limit)
			require.True(t, utf8.ValidString(kept))
			require.LessOrEqual(t, len(kept), limit)
		}
	}
}

// An answer is what its status says, also where its body never ends.
func TestSend_DoesNotWaitForABodyPastItsDeadline(t *testing.T) {
	t.Parallel()
	s := open()
	for _, status := range []int{200, 500} {
		block := stuck(t)
		to := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("so far"))
			w.(http.Flusher).Flush()
			block(w, r)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		a, err := s.Send(ctx, message, to)
		cancel()
		require.NoError(t, err)
		require.Equal(t, status, a.Status)
		require.Equal(t, status == 200, a.Outcome == postdate.Accepted)
		require.Equal(t, "so far", a.Response)
		require.Contains(t, a.Error, "the answer was not complete within ")
	}
}

func TestSend_KeepsWhatCameOfAnAnswerThatBrokeOff(t *testing.T) {
	t.Parallel()
	a := send(t, open(), serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("so far"))
	}))
	require.Equal(t, postdate.Accepted, a.Outcome)
	require.Equal(t, "so far", a.Response)
	require.Equal(t, "the answer broke off", a.Error)
}

func TestSend_DoesNotListenAfterSwitchingProtocols(t *testing.T) {
	t.Parallel()
	a := send(t, open(), serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nendless")
		_, _ = conn.Read(make([]byte, 1)) // until the sender hangs up
	}))
	require.Equal(t, postdate.Failed, a.Outcome)
	require.Equal(t, 101, a.Status)
}

func TestSend_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	s := open()
	for _, location := range []string{"/elsewhere", "http://127.0.0.1:1/s3cret", "http://[", "%zz", ""} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			var calls atomic.Int32
			a := send(t, s, serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Location", location)
				w.WriteHeader(status)
				_, _ = w.Write([]byte("moved"))
			}))
			require.Equal(t, postdate.Failed, a.Outcome)
			require.Equal(t, status, a.Status)
			require.Equal(t, "moved", a.Response)
			require.Contains(t, a.Error, "redirects are not followed")
			require.EqualValues(t, 1, calls.Load())
		}
	}
}

// counted is a destination that counts the connections made to it.
func counted(t *testing.T, handler http.HandlerFunc, start func(*httptest.Server)) (postdate.Target, *atomic.Int32) {
	t.Helper()
	var made atomic.Int32
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	start(server)
	t.Cleanup(server.Close)
	return target(server.URL + path), &made
}

func TestSend_UsesItsConnectionsAgain(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"after an empty answer": "",
		"after a long one":      strings.Repeat("x", postdate.MaxResponse+maxDrain/2),
	} {
		to, made := counted(t, say(body), (*httptest.Server).Start)
		s := open()
		for range 10 {
			require.Equal(t, postdate.Accepted, send(t, s, to).Outcome)
		}
		// On a machine too busy to note in time that a request was written,
		// net/http lets a connection go.
		require.Less(t, made.Load(), int32(4), name)
	}
}

func TestSend_GivesUpAConnectionRatherThanReadAnEndlessAnswer(t *testing.T) {
	t.Parallel()
	to, made := counted(t, func(w http.ResponseWriter, _ *http.Request) {
		for { // until the sender hangs up
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}, (*httptest.Server).Start)
	s := open()
	for range 2 {
		require.Len(t, send(t, s, to).Response, postdate.MaxResponse)
	}
	require.EqualValues(t, 2, made.Load())
}

func TestSend_SpeaksHTTP2OverOneConnection(t *testing.T) {
	t.Parallel()
	versions := make(chan int, 10)
	var certificates *httptest.Server
	to, made := counted(t, func(_ http.ResponseWriter, r *http.Request) { versions <- r.ProtoMajor }, func(server *httptest.Server) {
		server.EnableHTTP2 = true
		server.StartTLS()
		certificates = server
	})
	s := open()
	s.transport.TLSClientConfig.RootCAs = certificates.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for range 10 {
		a := send(t, s, to)
		require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
		require.Equal(t, 2, <-versions)
	}
	require.EqualValues(t, 1, made.Load())
}

// A receiver that closes an idle connection just as we send over it has not
// refused anything: the message is sent again over another one, at once.
func TestSend_IsNotFailedByAConnectionThatWasClosedMeanwhile(t *testing.T) {
	t.Parallel()
	type requests struct{}
	var closed atomic.Bool
	to, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
		onThisConnection := r.Context().Value(requests{}).(*atomic.Int32)
		if onThisConnection.Add(1) == 2 && closed.CompareAndSwap(false, true) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close()
			}
		}
	}, func(server *httptest.Server) {
		server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, requests{}, new(atomic.Int32))
		}
		server.Start()
	})
	s := open()
	for range 10 {
		a := send(t, s, to)
		require.Equal(t, postdate.Accepted, a.Outcome, a.Error)
	}
	require.True(t, closed.Load(), "no connection was used twice")
}
