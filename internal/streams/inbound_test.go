package streams

import (
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestRecord_OfWhatASourceTookIn(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte("<x/>"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	m := postdate.Message{ID: "in_1", Tenant: "acme", Type: "github.push", Data: packed.Bytes(), Inbound: &postdate.Inbound{
		Source: "src_1", Method: "POST", Query: "x=1", ContentType: "text/xml", Packed: true,
		Headers: []postdate.InboundHeader{{Name: "Nats-Rollup", Value: "all"}},
	}}
	r := newRecord(m, postdate.Target{Mode: postdate.CloudEventsBinary}, "")
	require.Equal(t, "<x/>", string(r.Body), "brokers know no packed bodies")
	require.Equal(t, "text/xml", r.ContentType)
	require.Subset(t, r.Headers, []Header{
		{"postdate-source", "src_1"}, {"postdate-method", "POST"}, {"postdate-query", "x=1"}, {"postdate-original-nats-rollup", "all"},
	})
	for _, header := range r.Headers {
		require.NotEqual(t, "Nats-Rollup", header.Name, "which would delete what the stream holds")
	}
}
