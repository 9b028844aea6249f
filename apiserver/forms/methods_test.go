package forms

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func TestMethods_HeadIsWhereGetIs(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	server := httptest.NewServer(d.handler)
	t.Cleanup(server.Close)
	routes, ok := d.handler.(*echo.Echo)
	require.True(t, ok)
	ask := func(method, path string) (status int, mediaType, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer key")
		w, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		defer w.Body.Close()
		text, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		return w.StatusCode, w.Header.Get("Content-Type"), string(text)
	}
	asked := 0
	for _, route := range routes.Routes() {
		if route.Method != http.MethodGet {
			continue
		}
		asked++
		path := strings.TrimSuffix(regexp.MustCompile(`:\w+`).ReplaceAllString(route.Path, "ep_1"), "*")
		status, mediaType, body := ask(http.MethodGet, path)
		require.NotEmpty(t, body, path)
		headStatus, headType, none := ask(http.MethodHead, path)
		require.Equal(t, status, headStatus, path)
		require.Equal(t, mediaType, headType, path)
		require.Empty(t, none, path)
	}
	require.Greater(t, asked, 15)
	for _, path := range []string{"/v1/schedules?limit=0", "/v1/nothing", "/v1/schedules/x"} {
		status, _, _ := ask(http.MethodGet, path)
		headStatus, _, none := ask(http.MethodHead, path)
		require.Equal(t, status, headStatus, path)
		require.Empty(t, none, path)
	}
}

func TestMethods_HeadNeedsTheKeyThatGetNeeds(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	require.Equal(t, http.StatusUnauthorized, d.do(http.MethodHead, "/v1/schedules", "", "Authorization", "Bearer no").Code)
	require.Equal(t, http.StatusOK, d.do(http.MethodHead, "/healthz", "", "Authorization", "").Code)
}

// The methods of a path are answered without a key.
func TestMethods_AreAnsweredWithoutAKey(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, test := range []struct{ method, path, allow string }{
		{http.MethodPut, "/v1/schedules", "OPTIONS, GET, HEAD, POST"},
		{http.MethodDelete, "/v1/events", "OPTIONS, POST"},
		{http.MethodPost, "/v1/schedules/x", "OPTIONS, DELETE, GET, HEAD, PATCH"},
		{http.MethodGet, "/v1/schedules/x/fire", "OPTIONS, POST"},
		{http.MethodHead, "/v1/events", "OPTIONS, POST"},
		{http.MethodPost, "/healthz", "OPTIONS, GET, HEAD"},
		{http.MethodPost, "/docs", "OPTIONS, GET, HEAD"},
		{http.MethodDelete, "/metrics", "OPTIONS, GET, HEAD"},
		{http.MethodTrace, "/v1/keys", "OPTIONS, GET, HEAD, POST"},
	} {
		for _, key := range []string{"Bearer key", "Bearer nobody's", ""} {
			w := d.do(test.method, test.path, "", "Authorization", key)
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, "%s %s", test.method, test.path)
			require.ElementsMatch(t, strings.Split(test.allow, ", "), strings.Split(w.Header().Get("Allow"), ", "), "%s %s", test.method, test.path)
			w = d.do(http.MethodOptions, test.path, "", "Authorization", key)
			require.Equal(t, http.StatusNoContent, w.Code)
			require.ElementsMatch(t, strings.Split(test.allow, ", "), strings.Split(w.Header().Get("Allow"), ", "))
		}
	}
	for _, path := range []string{"/v1/nothing", "/v1/schedules/"} {
		require.Equal(t, http.StatusUnauthorized, d.do(http.MethodGet, path, "", "Authorization", "").Code, "a path that does not exist needs a key")
	}
}
