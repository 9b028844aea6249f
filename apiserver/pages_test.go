package apiserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page asks for nothing but what this process has, and the browser is told
// to let it have nothing else.
func TestDocs_NeedNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, path := range []string{"/docs", "/docs/"} {
		page := a.do(http.MethodGet, path, "", "Authorization", "").is(http.StatusOK)
		html := page.Body.String()
		require.Contains(t, html, "/openapi.yaml")
		references := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1)
		require.NotEmpty(t, references)
		for _, reference := range references {
			require.True(t, strings.HasPrefix(reference[1], "/docs/"), reference[1])
			part := a.do(http.MethodGet, reference[1], "", "Authorization", "").is(http.StatusOK)
			require.Positive(t, part.Body.Len())
			require.Equal(t, "nosniff", part.Header().Get("X-Content-Type-Options"))
		}

		policy := page.Header().Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.NotRegexp(t, `https?:|\*`, policy)
		scripts := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllStringSubmatch(html, -1)
		require.NotEmpty(t, scripts)
		for _, script := range scripts {
			sum := sha256.Sum256([]byte(script[1]))
			require.Contains(t, policy, base64.StdEncoding.EncodeToString(sum[:]), "the policy lets the page's own script run")
		}
	}
}
