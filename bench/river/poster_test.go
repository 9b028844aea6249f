package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/riverqueue/river"
)

func TestPoster_SignsWhatItSends(t *testing.T) {
	t.Parallel()
	p := newPoster()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		mac := hmac.New(sha256.New, p.secret)
		mac.Write([]byte(req.Header.Get("Webhook-Id") + "." + req.Header.Get("Webhook-Timestamp") + "." + string(body)))
		if req.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	m := message{ID: "a", URL: server.URL, Body: json.RawMessage(`{"a": 1}`)}
	if err := p.Work(t.Context(), &river.Job[message]{Args: m}); err != nil {
		t.Error(err)
	}
}

func TestPoster_FailsWhereItIsRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	m := message{ID: "a", URL: server.URL, Body: json.RawMessage(`{}`)}
	if err := newPoster().Work(t.Context(), &river.Job[message]{Args: m}); err == nil {
		t.Error("a refused message counts as sent")
	}
}
