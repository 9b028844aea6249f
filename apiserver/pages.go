package apiserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"github.com/postdate/postdate"
)

// docsAssets is where the page at /docs finds its parts, which are in this program.
const docsAssets = "/docs/*"

// isAsset reports whether a part of a public page is requested.
func isAsset(c echo.Context) bool { return c.Path() == docsAssets }

// registerPages adds what is served as it is, and not from generated code.
func (s *server) registerPages(e withHead) {
	e.GET("/metrics", func(c echo.Context) error {
		if s.Metrics == nil {
			return postdate.Errorf(postdate.NotFound, "", "this process keeps no metrics")
		}
		s.Metrics.ServeHTTP(c.Response(), c.Request())
		return nil
	})
	e.GET("/openapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml", specification)
	})
	page := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Postdate", SwaggerJSON: "/openapi.yaml", BasePath: "/docs",
	})
	docs := echo.WrapHandler(withPolicy(page))
	e.GET("/docs", docs)
	e.GET(docsAssets, docs)
}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// rendered is a page that was written to memory.
type rendered struct {
	bytes.Buffer
	header http.Header
}

func (r *rendered) Header() http.Header { return r.header }
func (r *rendered) WriteHeader(int)     {}

// withPolicy lets the browser load nothing from elsewhere, and run no scripts but those
// that page contains.
func withPolicy(page http.Handler) http.Handler {
	index := &rendered{header: http.Header{}}
	page.ServeHTTP(index, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/docs"}})
	scripts := new(strings.Builder)
	scripts.WriteString("script-src 'self'")
	for _, script := range inlineScript.FindAllSubmatch(index.Bytes(), -1) {
		sum := sha256.Sum256(script[1])
		scripts.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	policy := strings.Join([]string{
		"default-src 'none'", scripts.String(), "style-src 'self' 'unsafe-inline'", "img-src 'self' data:", "connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		page.ServeHTTP(w, r)
	})
}
