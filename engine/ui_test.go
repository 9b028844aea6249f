package engine

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUI_ShowsTheNamespace(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Memory: true, UIPort: choosePorts(0).frontend})
	require.Contains(t, get(t, e.UIURL()+"/namespaces/default/workflows"), "<html")
	require.Contains(t, get(t, e.UIURL()+"/api/v1/namespaces/default"), `"name": "default"`)

	e.Stop()
	_, err := http.Get(e.UIURL()) //nolint:bodyclose // there is none
	require.Error(t, err)
}

func TestUI_IsAbsentWithoutAPort(t *testing.T) {
	t.Parallel()
	require.Empty(t, start(t, Config{Memory: true}).UIURL())
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(body))
	return string(body)
}
