package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// river is the program of bench/river, a queue of scheduled jobs, in a child of its own.
type river struct {
	*child

	url  string
	http *http.Client
}

func startRiver(ctx context.Context, s *stage, database string) (*river, error) {
	if _, err := os.Stat(s.river); err != nil {
		return nil, fmt.Errorf("find the River program: %w; make bench-integration builds it", err)
	}
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	r := &river{
		url:  "http://" + net.JoinHostPort("127.0.0.1", ports[0]) + "/",
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: s.clients}},
	}
	r.child, err = startReady(ctx, "River", r.url, os.Environ(), s.river, "--db", database, "--http", ports[0])
	return r, err
}

// publish returns once the job is committed.
func (r *river) publish(ctx context.Context, m *item) error {
	return handOver(ctx, r.http, r.url, m)
}
