package forms

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestURLs_ThatCouldNeverBeSentToAreRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, url := range []string{
		"https://b.example:0/", "https://b.example:65536/", "https://b.example:99999/", "https://b.example:99999999999999999999/",
		"https://" + strings.Repeat("a", 64) + ".example/", "https://" + strings.Repeat("a.", 126) + "example/",
		"https://a..b/", "https://.b.example/", "https://*.b.example/", "https://a,b.example/", "https://a.example,b.example/", "https://-a.example/",
		"https://a\u200bb.example/", "https://a\ufeffb.example/", "https://a\u00adb.example/", "https://a\u202eb.example/", "https://a b.example/",
		"https://b.example:x/", "https:///path", "https://:443/", "https://b.example:-1/", "ftp://b.example/", "//b.example/", "b.example",
		"https://10.0.0.1/", "https://localhost/", "https://①②⑦.0.0.1/", "https://u@b.example/", "http://b.example/", "https://b.example/%zz",
		"https://" + strings.Repeat("a", 2049),
	} {
		text := quoted(t, url)
		d.post("/v1/schedules", `{"type":"t","to":{"url":`+text+`}}`).refused(http.StatusUnprocessableEntity, "/to/url")
		d.post("/v1/endpoints", `{"event_types":["*"],"url":`+text+`}`).refused(http.StatusUnprocessableEntity, "/url")
		d.do(http.MethodPatch, "/v1/endpoints/ep_1", `{"url":`+text+`}`).refused(http.StatusUnprocessableEntity, "/url")
		canary := `"canary":{"share":1,"url":` + text + `}`
		d.post("/v1/endpoints", `{"event_types":["*"],"url":"https://primary.example/",`+canary+`}`).refused(http.StatusUnprocessableEntity, "/canary/url")
		d.do(http.MethodPatch, "/v1/endpoints/ep_1", `{`+canary+`}`).refused(http.StatusUnprocessableEntity, "/canary/url")
	}
}

func TestURLs_ThatCanBeSentToAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, url := range []string{
		"https://b.example/hooks", "https://b.example", "https://b.example:1/", "https://b.example:65535/", "https://b.example:0443/", "https://B.Example./",
		"https://bücher.example/ü?q=é", "https://b.example/a?q=a b\"c\"", "https://my_host.b.example/", "https://8.8.8.8/", "https://[2606:4700::1111]:8443/",
		"https://" + strings.Repeat("a", 63) + ".example/", "https://" + strings.Repeat("a.", 122) + "example/", "https://xn--bcher-kva.example/",
		"https://b.example/" + strings.Repeat("é", 2048-len("https://b.example/")),
	} {
		text := quoted(t, url)
		require.Equal(t, http.StatusCreated, d.post("/v1/schedules", `{"type":"t","to":{"url":`+text+`}}`).Code, url)
		require.Equal(t, http.StatusCreated, d.post("/v1/endpoints", `{"event_types":["*"],"url":`+text+`}`).Code, url)
		require.Equal(t, http.StatusOK, d.do(http.MethodPatch, "/v1/endpoints/ep_1", `{"url":`+text+`}`).Code, url)
	}
}
