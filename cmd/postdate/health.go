package main

import (
	"fmt"
	"net/http"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/worker"
)

// workerHandler is what a worker alone answers: whether it is alive, whether it
// can work, and its metrics, on the paths where the API answers them too.
func workerHandler(temporal client.Client, metrics http.Handler) http.Handler {
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
		writeStatus(w, http.StatusOK, "ready")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusNotFound, `this is a worker alone: the API is answered by "postdate api" or "serve"`)
	})
	return mux
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"status\":%q,\"version\":%q}\n", status, version)
}
