package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/streams"
)

func TestWorkerHandler_SaysWhetherItCanWork(t *testing.T) {
	t.Parallel()
	var err error
	measured := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	handler := workerHandler(func(context.Context) error { return err }, measured, new(streams.Streams), nil)
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	require.Equal(t, http.StatusOK, ask("/healthz").Code)
	require.Equal(t, http.StatusOK, ask("/readyz").Code)
	require.Equal(t, http.StatusTeapot, ask("/metrics").Code)
	require.Equal(t, http.StatusNotFound, ask("/v1/events").Code)

	err = postdate.Errorf(postdate.Unavailable, "", "the encryption key k2 is missing")
	require.Equal(t, http.StatusServiceUnavailable, ask("/readyz").Code)
	require.Contains(t, ask("/readyz").Body.String(), "k2 is missing")
	err = errors.New("dial tcp 10.1.2.3:7233: connection refused")
	require.NotContains(t, ask("/readyz").Body.String(), "10.1.2.3")

	// With POSTDATE_METRICS_ADDR they are served there.
	handler = workerHandler(func(context.Context) error { return nil }, nil, new(streams.Streams), nil)
	require.Equal(t, http.StatusNotFound, ask("/metrics").Code)
}
