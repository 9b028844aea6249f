//go:build integration

package webhook

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/signature"
)

// nodeReceiver starts testdata/interop/receiver.mjs, and is the url it listens
// at. Its packages must have been installed there: scripts/test-integration does.
func nodeReceiver(t *testing.T, secret, publicKey string) string {
	t.Helper()
	node := exec.Command("node", "receiver.mjs")
	node.Dir = "testdata/interop"
	node.Env = append(node.Environ(), "SECRET="+secret, "PUBLIC_KEY="+publicKey)
	var complaints strings.Builder
	node.Stderr = &complaints
	stdin, err := node.StdinPipe()
	require.NoError(t, err)
	stdout, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start(), "Node.js is needed")
	port, readErr := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() {
		stdin.Close()
		require.NoError(t, node.Wait(), complaints.String())
	})
	require.NoError(t, readErr, "the receiver did not start")
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

func TestInterop_PackagesOfNPMVerifyOurSignatures(t *testing.T) {
	t.Parallel()
	key := signature.NewSigningKey()
	url := nodeReceiver(t, secret.Reveal(), key.Public().String())
	s := New(Config{Guard: loop})
	var (
		known, other       = postdate.Secret(secret.Reveal()), postdate.Secret(signature.NewSecret().Reveal())
		knownKey, otherKey = postdate.Secret(key.Reveal()), postdate.Secret(signature.NewSigningKey().Reveal())
	)
	for name, c := range map[string]struct {
		path    string
		secrets []postdate.Secret
		want    int
	}{
		"standardwebhooks":                    {"/standardwebhooks", []postdate.Secret{known}, http.StatusOK},
		"standardwebhooks, in a rotation":     {"/standardwebhooks", []postdate.Secret{other, known}, http.StatusOK},
		"standardwebhooks, beside a key":      {"/standardwebhooks", []postdate.Secret{knownKey, known}, http.StatusOK},
		"standardwebhooks, of another secret": {"/standardwebhooks", []postdate.Secret{other}, http.StatusBadRequest},
		"svix":                                {"/svix", []postdate.Secret{known}, http.StatusOK},
		"svix, in a rotation":                 {"/svix", []postdate.Secret{known, other}, http.StatusOK},
		"svix, of another secret":             {"/svix", []postdate.Secret{other}, http.StatusBadRequest},
		"openssl":                             {"/openssl", []postdate.Secret{knownKey}, http.StatusOK},
		"openssl, in a rotation":              {"/openssl", []postdate.Secret{otherKey, known, knownKey}, http.StatusOK},
		"openssl, of another key":             {"/openssl", []postdate.Secret{otherKey}, http.StatusBadRequest},
		"openssl, of no key":                  {"/openssl", []postdate.Secret{known}, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := message
			m.Data = json.RawMessage(`{"name":"Zoë 🦊","html":"<b>&amp;</b>"}`)
			a, err := s.Send(t.Context(), m, postdate.Target{URL: url + c.path, Secrets: c.secrets})
			require.NoError(t, err)
			require.Equal(t, c.want, a.Status, a.Response)
			if c.want == http.StatusOK {
				require.JSONEq(t, string(standard(m)), a.Response)
			}
		})
	}
}

// The package keeps milliseconds, and gives an event without a time the one at which it
// came. In binary mode it leaves all attributes strings and does not decode percents.
func TestInterop_ThePackageOfNPMReceivesOurCloudEvents(t *testing.T) {
	t.Parallel()
	to := target(nodeReceiver(t, secret.Reveal(), "") + "/cloudevents")
	s := New(Config{Guard: loop})
	receive := func(t *testing.T, m postdate.Message, mode postdate.Mode) map[string]any {
		t.Helper()
		to := to
		to.Mode = mode
		a, err := s.Send(t.Context(), m, to)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, a.Status, a.Response)
		got := decode(t, a.Response)
		at, err := time.Parse(time.RFC3339, got["time"].(string))
		require.NoError(t, err)
		if m.CloudEvent == nil || !m.CloudEvent.NoTime {
			require.True(t, m.Timestamp.Truncate(time.Millisecond).Equal(at))
		}
		delete(got, "time")
		return got
	}
	for name, c := range forms {
		t.Run("structured "+name, func(t *testing.T) {
			t.Parallel()
			want := decode(t, c.structured)
			delete(want, "time")
			require.Equal(t, want, receive(t, c.message, postdate.CloudEventsStructured))
		})
		t.Run("binary "+name, func(t *testing.T) {
			t.Parallel()
			want := map[string]any{}
			for header, value := range c.binary {
				want[strings.TrimPrefix(strings.ToLower(header), "ce-")] = value
			}
			delete(want, "time")
			if len(c.message.Data) > 0 {
				want["data"] = decode(t, string(c.message.Data))
				want["datacontenttype"] = want["content-type"]
				delete(want, "content-type")
			}
			require.Equal(t, want, receive(t, c.message, postdate.CloudEventsBinary))
		})
	}
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var document map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &document))
	return document
}
