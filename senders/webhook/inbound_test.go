package webhook

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/signature"
)

// taken is a message that a source took in.
func taken(data string, change ...func(*postdate.Inbound)) postdate.Message {
	m := message
	m.Data = []byte(data)
	m.Inbound = &postdate.Inbound{
		Source: "src_1", Method: http.MethodPut, Path: "/a%2Fb", Query: "x=1&y=é", ContentType: "text/xml; charset=latin1",
		Headers: []postdate.InboundHeader{
			{Name: "Idempotency-Key", Value: "k"},
			{Name: "User-Agent", Value: "hooks"},
			{Name: "Webhook-Id", Value: "theirs"},
			{Name: "Webhook-Signature", Value: "v1,theirs"},
			{Name: "X-Team", Value: "theirs"},
			{Name: "X-Two", Value: "1"},
			{Name: "X-Two", Value: "2"},
		},
	}
	for _, each := range change {
		each(m.Inbound)
	}
	return m
}

func sendTaken(t *testing.T, m postdate.Message, mode postdate.Mode) seen {
	t.Helper()
	arrived := make(chan seen, 1)
	now := time.Now()
	s := New(Config{Guard: loop, Now: func() time.Time { return now }})
	to := serve(t, record(arrived))
	to.Mode, to.Headers = mode, map[string]postdate.Secret{"X-Team": "ours"}
	attempt, err := s.Send(t.Context(), m, to)
	require.NoError(t, err)
	require.Equal(t, postdate.Accepted, attempt.Outcome, attempt.Error)
	got := <-arrived
	require.NoError(t, signature.Verify(got.Header, []byte(got.body), now, time.Second, secret))
	return got
}

func TestInbound_IsPassedOnAsItCame(t *testing.T) {
	t.Parallel()
	const data = "<x>\x00\xff</x>"
	got := sendTaken(t, taken(data), postdate.Standard)
	require.Equal(t, http.MethodPost, got.Method)
	require.Equal(t, path, got.RequestURI, "its own, and nothing of the sender's")
	require.Equal(t, data, got.body)
	for name, want := range map[string][]string{
		"Content-Type": {"text/xml; charset=latin1"}, "Content-Encoding": nil,
		"Postdate-Source": {"src_1"}, "Postdate-Method": {"PUT"}, "Postdate-Path": {"/a%2Fb"}, "Postdate-Query": {"x=1&y=%C3%A9"},
		"X-Two": {"1", "2"}, "X-Team": {"ours"}, "Postdate-Original-X-Team": {"theirs"}, "Webhook-Id": {message.ID},
		"Postdate-Original-Webhook-Id": {"theirs"}, "Postdate-Original-Webhook-Signature": {"v1,theirs"},
		"User-Agent": {"Postdate"}, "Postdate-Original-User-Agent": {"hooks"},
		"Idempotency-Key": nil, "Postdate-Original-Idempotency-Key": {"k"},
	} {
		require.Equal(t, want, got.Header[name], name)
	}
}

func TestInbound_WithoutABodyOrAMediaType(t *testing.T) {
	t.Parallel()
	got := sendTaken(t, taken("", func(in *postdate.Inbound) { in.ContentType = "" }), postdate.Standard)
	require.Empty(t, got.body)
	require.Empty(t, got.Header["Content-Type"])
}

func TestInbound_AsCloudEvents(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(`{"a": 1}`))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	isPacked := func(in *postdate.Inbound) { in.Packed, in.ContentType = true, "application/json" }

	binary := sendTaken(t, taken(packed.String(), isPacked), postdate.CloudEventsBinary)
	require.Equal(t, packed.String(), binary.body)
	require.Equal(t, "gzip", binary.Header.Get("Content-Encoding"))
	require.Equal(t, "application/json", binary.Header.Get("Content-Type"))
	require.Equal(t, message.Type, binary.Header.Get("Ce-Type"))

	for body, test := range map[string]struct {
		m                 postdate.Message
		data, data64, typ string
	}{
		"packed JSON":      {taken(packed.String(), isPacked), `{"a": 1}`, "", "application/json"},
		"what is no JSON":  {taken("{", func(in *postdate.Inbound) { in.ContentType = "application/json" }), "", "ew==", "application/json"},
		"XML":              {taken("<x/>"), "", "PHgvPg==", "text/xml; charset=latin1"},
		"of no media type": {taken("{}", func(in *postdate.Inbound) { in.ContentType = "" }), "", "e30=", "application/octet-stream"},
	} {
		got := sendTaken(t, test.m, postdate.CloudEventsStructured)
		require.Empty(t, got.Header.Get("Content-Encoding"), body)
		var event struct {
			Data        json.RawMessage `json:"data"`
			Data64      string          `json:"data_base64"`
			ContentType string          `json:"datacontenttype"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.body), &event), got.body)
		require.Equal(t, test.data, string(event.Data), body)
		require.Equal(t, test.data64, event.Data64, body)
		require.Equal(t, test.typ, event.ContentType, body)
	}
}
