package webhook

import (
	"net/http"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/cloudevent"
)

var structuredHeaders = http.Header{"Content-Type": {cloudevent.StructuredType}}

// binaryHeaders are m's attributes as the CloudEvents HTTP binding lays down for
// its binary mode. The signature does not cover them, but for the id.
func binaryHeaders(m postdate.Message) http.Header {
	headers := http.Header{}
	for _, a := range cloudevent.Attributes(m) {
		headers.Set("Ce-"+a.Name, cloudevent.PercentEncode(a.Value))
	}
	if len(m.Data) > 0 {
		headers.Set("Content-Type", cloudevent.ContentType(m))
	}
	return headers
}
