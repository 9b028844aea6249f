package webhook

import (
	"bufio"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requestLine makes an attempt at a url whose host and port stand for where the
// test receives, and answers the request's first line.
func requestLine(t *testing.T, rest string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	line := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		first, _ := bufio.NewReader(conn).ReadString('\n')
		line <- strings.TrimSuffix(first, "\r\n")
	}()
	_, err = open().Send(t.Context(), message, target("http://"+listener.Addr().String()+rest))
	require.NoError(t, err)
	return <-line
}

func TestSend_WritesARequestLineThatCanBeRead(t *testing.T) {
	t.Parallel()
	for rest, want := range map[string]string{
		"/a?q=a b":             "/a?q=a%20b",
		`/a?q="x"&r=<y>`:       "/a?q=%22x%22&r=%3Cy%3E",
		"/a?q=é":               "/a?q=%C3%A9",
		"/a?q=%C3%A9&r=%20+%":  "/a?q=%C3%A9&r=%20+%",
		"/a b/é?x":             "/a%20b/%C3%A9?x",
		"?q=😀":                 "/?q=%F0%9F%98%80",
		"/a?q=[1]&r={2}|'3'^`": "/a?q=[1]&r={2}|'3'^`",
		"/%2f?":                "/%2f?",
		"":                     "/",
		"/a#fragment é":        "/a",
	} {
		require.Equal(t, "POST "+want+" HTTP/1.1", requestLine(t, rest), rest)
	}
}

func TestRequest_NamesTheHostThatIsDialled(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://BÜCHER.example/":        "xn--bcher-kva.example",
		"https://Bücher.Example:8443/":   "xn--bcher-kva.example:8443",
		"https://日本。jp/":                 "xn--wgv71a.jp",
		"https://EXAMPLE.com:443/":       "example.com:443",
		"https://example.com:/":          "example.com",
		"https://[2606:4700::1111]:443/": "[2606:4700::1111]:443",
		"https://[2606:4700::1111]/":     "[2606:4700::1111]",
		"https://①②⑦.0.0.1/":             "127.0.0.1",
		"https://my_host.internal/":      "my_host.internal",
	} {
		signers, err := signersOf(target(raw))
		require.NoError(t, err)
		request, err := open().request(t.Context(), fixed, message, target(raw), signers)
		require.NoError(t, err)
		require.Equal(t, want, request.Host, raw)
		require.Equal(t, want, request.URL.Host, raw)
	}
}
