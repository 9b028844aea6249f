package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/worker"
)

// workerHandler is what a worker alone answers: whether it is alive, whether it
// can work, and its metrics, on the paths where the API answers them too.
func workerHandler(temporal client.Client, metrics http.Handler, configured *streams.Streams) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if polling, err := worker.Polling(r.Context(), temporal); err != nil || !polling {
			writeStatus(w, http.StatusServiceUnavailable, "the engine is not reachable, or no worker polls it")
			return
		}
		writeReady(w, configured)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusNotFound, `this is a worker alone: the API is answered by "postdate api" or "serve"`)
	})
	return mux
}

// writeReady says that the worker can work, and how the streams are. One that is
// unreachable is no reason not to work.
func writeReady(w http.ResponseWriter, configured *streams.Streams) {
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
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status) //nolint:errchkjson // strings: it cannot fail
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"status\":%q,\"version\":%q}\n", status, version)
}
