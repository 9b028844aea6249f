package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/streams"
)

// workerHandler is what a worker alone answers: whether it is alive, whether it can work,
// and its metrics, unless they are served elsewhere, on the paths where the API answers them
// too. Whoever asks needs no key, so ready must not cost much however often it is called.
func workerHandler(ready func(context.Context) error, metrics http.Handler, configured *streams.Streams, consumed func(tenant string) []apiserver.ConsumptionStatus) http.Handler {
	mux := http.NewServeMux()
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		err := ready(r.Context())
		switch {
		case err == nil:
			writeReady(w, configured, consumed)
		case postdate.CodeOf(err) == postdate.Unavailable:
			writeStatus(w, http.StatusServiceUnavailable, err.Error())
		default:
			writeStatus(w, http.StatusServiceUnavailable, "the engine is not reachable")
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusNotFound, `this is a worker alone: the API is answered by "postdate api" or "serve"`)
	})
	return mux
}

// writeReady says that the worker can work, and how the streams are. One that is
// unreachable is no reason not to work.
func writeReady(w http.ResponseWriter, configured *streams.Streams, consumed func(tenant string) []apiserver.ConsumptionStatus) {
	type streamStatus struct {
		Name  string               `json:"name"`
		Kind  postdate.StreamKind  `json:"kind"`
		State postdate.StreamState `json:"state"`
	}
	status := struct {
		Status  string         `json:"status"`
		Version string         `json:"version"`
		Streams []streamStatus `json:"streams,omitempty"`
	}{Status: "ready", Version: version}
	for _, each := range configured.All() {
		status.Streams = append(status.Streams, streamStatus{each.Name, each.Kind, each.State})
	}
	if consumed != nil {
		for _, each := range consumed("") {
			status.Streams = append(status.Streams, streamStatus{each.Name, each.Kind, each.State})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status) //nolint:errchkjson // strings: it cannot fail
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"status\":%q,\"version\":%q}\n", status, version)
}
