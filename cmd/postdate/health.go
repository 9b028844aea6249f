package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/postdate/postdate"
)

// workerHandler is what a worker alone answers: whether it is alive, whether it can work,
// and its metrics, unless they are served elsewhere, on the paths where the API answers them
// too. Whoever asks needs no key, so ready must not cost much however often it is called.
func workerHandler(ready func(context.Context) error, metrics http.Handler) http.Handler {
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
			writeStatus(w, http.StatusOK, "ready")
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

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"status\":%q,\"version\":%q}\n", status, version)
}
