package codec

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	operatorKey = "pd_the-operators-own-key"
	uiURL       = "http://127.0.0.1:8233"
)

func newHandlerOf(t *testing.T, ring *Ring) http.Handler {
	t.Helper()
	h, err := NewHandler(HandlerConfig{Ring: ring, UIURL: uiURL, Authorize: func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "Bearer "+operatorKey
	}})
	require.NoError(t, err)
	return h
}

// call is a request as the Web UI makes it, changed by change.
func call(t *testing.T, h http.Handler, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, Path+"/decode?preserveStorageRefs=true", strings.NewReader(body))
	r.Header.Set("Origin", uiURL)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Namespace", "default")
	r.Header.Set("Authorization", "Bearer "+operatorKey)
	change(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func asJSON(t *testing.T, payloads ...*commonpb.Payload) string {
	t.Helper()
	encoded, err := protojson.Marshal(&commonpb.Payloads{Payloads: payloads})
	require.NoError(t, err)
	return string(encoded)
}

func TestHandler_DecodesForTheWebUI(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a")
	want := []*commonpb.Payload{payloadOf(t, planted), payloadOf(t, "never encrypted")}
	answer := call(t, newHandlerOf(t, ring), asJSON(t, encode(t, ring, want[0]), want[1]), func(*http.Request) {})
	require.Equal(t, http.StatusOK, answer.Code)
	require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
	require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
	requireAllowed(t, answer)
	var got commonpb.Payloads
	require.NoError(t, protojson.Unmarshal(answer.Body.Bytes(), &got))
	require.Len(t, got.GetPayloads(), len(want))
	for i := range want {
		requireEqual(t, want[i], got.GetPayloads()[i])
	}
}

func requireAllowed(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, uiURL, answer.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", answer.Header().Get("Access-Control-Allow-Credentials"))
	require.Equal(t, "Origin", answer.Header().Get("Vary"))
}

// TestHandler_ServesTemporalsOwnClient is how the temporal command uses it:
// --codec-endpoint and --codec-auth.
func TestHandler_HidesWhatNobodyMaySee(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a")
	h, err := NewHandler(HandlerConfig{
		Ring: ring, Authorize: func(*http.Request) bool { return true },
		Hide: func(data []byte) []byte { return bytes.ReplaceAll(data, []byte(planted), []byte("hidden")) },
	})
	require.NoError(t, err)
	answer := call(t, h, asJSON(t, encode(t, ring, payloadOf(t, planted))), func(r *http.Request) { r.Header.Del("Origin") })
	require.Equal(t, http.StatusOK, answer.Code)
	var got commonpb.Payloads
	require.NoError(t, protojson.Unmarshal(answer.Body.Bytes(), &got))
	require.JSONEq(t, `"hidden"`, string(got.GetPayloads()[0].GetData()))
}

func TestHandler_ServesTemporalsOwnClient(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a")
	mux := http.NewServeMux()
	mux.Handle(Path+"/", newHandlerOf(t, ring))
	server := httptest.NewServer(mux)
	defer server.Close()
	remote := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{
		Endpoint: server.URL + Path,
		ModifyRequest: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+operatorKey)
			return nil
		},
	})
	want := payloadOf(t, planted)
	encoded, err := remote.Encode([]*commonpb.Payload{want})
	require.NoError(t, err)
	opened, err := decode(ring, encoded[0])
	require.NoError(t, err)
	requireEqual(t, want, opened)
	decoded, err := remote.Decode(encoded)
	require.NoError(t, err)
	requireEqual(t, want, decoded[0])
}

func TestHandler_AnswersThePreflightWithoutCredentials(t *testing.T) {
	t.Parallel()
	answer := call(t, newHandlerOf(t, ringOf(t, "a")), "", func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header = http.Header{
			"Origin":                         {uiURL},
			"Access-Control-Request-Method":  {"POST"},
			"Access-Control-Request-Headers": {"content-type,x-namespace"},
		}
	})
	require.Equal(t, http.StatusNoContent, answer.Code)
	requireAllowed(t, answer)
	require.Equal(t, "POST", answer.Header().Get("Access-Control-Allow-Methods"))
	allowed := strings.ToLower(answer.Header().Get("Access-Control-Allow-Headers"))
	require.Subset(t, strings.Split(allowed, ", "), []string{"content-type", "x-namespace", "authorization"})
	require.Empty(t, answer.Body.String())
}

func TestHandler_RefusesWithoutTellingAnything(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "a")
	h := newHandlerOf(t, ring)
	sealed := asJSON(t, encode(t, ring, payloadOf(t, planted)))
	for name, refusal := range map[string]struct {
		change func(*http.Request)
		status int
		read   bool // whether the Web UI may read the answer
	}{
		"no key":          {func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized, true},
		"wrong key":       {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, http.StatusUnauthorized, true},
		"other origin":    {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden, false},
		"other port":      {func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:9000") }, http.StatusForbidden, false},
		"like it":         {func(r *http.Request) { r.Header.Set("Origin", uiURL+".evil.example") }, http.StatusForbidden, false},
		"no page at all":  {func(r *http.Request) { r.Header.Set("Origin", "null") }, http.StatusForbidden, false},
		"other preflight": {func(r *http.Request) { r.Method = "OPTIONS"; r.Header.Set("Origin", "null") }, http.StatusForbidden, false},
		"GET":             {func(r *http.Request) { r.Method = "GET" }, http.StatusMethodNotAllowed, true},
		"another path":    {func(r *http.Request) { r.URL.Path = Path + "/download" }, http.StatusNotFound, false},
	} {
		answer := call(t, h, sealed, refusal.change)
		require.Equal(t, refusal.status, answer.Code, name)
		require.Equal(t, refusal.read, answer.Header().Get("Access-Control-Allow-Origin") != "", name)
		require.NotContains(t, answer.Body.String(), planted, name)
	}
}

func TestHandler_NeedsNoOriginOfPrograms(t *testing.T) {
	t.Parallel()
	answer := call(t, newHandlerOf(t, ringOf(t, "a")), asJSON(t), func(r *http.Request) { r.Header.Del("Origin") })
	require.Equal(t, http.StatusOK, answer.Code)
	require.Empty(t, answer.Header().Get("Access-Control-Allow-Origin"))
}

func TestHandler_SaysWhatIsWrongWithARequest(t *testing.T) {
	t.Parallel()
	h := newHandlerOf(t, ringOf(t, "a"))
	unknown := asJSON(t, encode(t, ringOf(t, "z"), payloadOf(t, planted)))
	for body, wrong := range map[string]struct {
		status int
		says   string
	}{
		unknown:                           {http.StatusBadRequest, `key "z": not in the key ring`},
		"{":                               {http.StatusBadRequest, ""},
		`{"payloads":[null]}`:             {http.StatusBadRequest, ""},
		strings.Repeat("x", maxBody+1):    {http.StatusRequestEntityTooLarge, "at most 16777216 bytes"},
		`{"payloads":[{"unknown":true}]}`: {http.StatusBadRequest, ""},
	} {
		answer := call(t, h, body, func(*http.Request) {})
		require.Equal(t, wrong.status, answer.Code, "%.40s", body)
		require.Contains(t, answer.Body.String(), wrong.says, "%.40s", body)
		requireAllowed(t, answer)
	}
}

// TestHandler_AsksWhoItIsBeforeItReads keeps strangers from making it hold 16 MB.
func TestHandler_AsksWhoItIsBeforeItReads(t *testing.T) {
	t.Parallel()
	answer := call(t, newHandlerOf(t, ringOf(t, "a")), "", func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Body = io.NopCloser(unread{t})
	})
	require.Equal(t, http.StatusUnauthorized, answer.Code)
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestHandler_AllowsNoPageWhereThereIsNoWebUI(t *testing.T) {
	t.Parallel()
	h, err := NewHandler(HandlerConfig{Ring: ringOf(t, "a"), Authorize: func(*http.Request) bool { return true }})
	require.NoError(t, err)
	for _, origin := range []string{uiURL, "null", "http://"} {
		answer := call(t, h, asJSON(t), func(r *http.Request) { r.Header.Set("Origin", origin) })
		require.Equal(t, http.StatusForbidden, answer.Code)
	}
}

func TestNewHandler_WantsWhatItNeeds(t *testing.T) {
	t.Parallel()
	anybody := func(*http.Request) bool { return true }
	for _, c := range []HandlerConfig{
		{Authorize: anybody},
		{Ring: ringOf(t, "a")},
		{Ring: ringOf(t, "a"), Authorize: anybody, UIURL: "127.0.0.1:8233"},
		{Ring: ringOf(t, "a"), Authorize: anybody, UIURL: "ftp://ui.example"},
	} {
		_, err := NewHandler(c)
		require.Error(t, err)
	}
}

func TestOriginOf_WritesOriginsAsBrowsersDo(t *testing.T) {
	t.Parallel()
	for pageURL, want := range map[string]string{
		"":                                   "",
		"http://127.0.0.1:8233":              "http://127.0.0.1:8233",
		"https://UI.Example/temporal/?x=1#y": "https://ui.example",
		"https://ui.example:443":             "https://ui.example",
		"http://ui.example:80/":              "http://ui.example",
		"https://ui.example:80/":             "https://ui.example:80",
		"http://[::1]:80/":                   "http://[::1]",
		"http://[::1]:8233/":                 "http://[::1]:8233",
		"http://me:secret@ui.example":        "http://ui.example",
	} {
		got, err := originOf(pageURL)
		require.NoError(t, err, pageURL)
		require.Equal(t, want, got, pageURL)
	}
}
