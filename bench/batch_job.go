package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"
)

// batchJob is the batch job in a child of its own: a table of due rows, and a loop
// that scans it every so often.
type batchJob struct {
	*child

	url   string
	every time.Duration
	http  *http.Client
}

// senders is how many of them the batch job has.
type senders int

// start starts the batch job in database or, where that is "", on an SQLite file
// in the stage's folder.
func (n senders) start(ctx context.Context, s *stage, database string) (*batchJob, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	b := &batchJob{
		url: "http://" + net.JoinHostPort("127.0.0.1", ports[0]) + "/", every: s.batchEvery,
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: s.clients}},
	}
	b.child, err = startSelf(ctx, "the batch job", b.url, batchCommand,
		"--db", filepath.Join(s.dir, "batch.db"), "--postgres", database, "--http", ports[0],
		"--every", b.every.String(), "--senders", strconv.Itoa(int(n)))
	return b, err
}

// publish returns once the row is committed.
func (b *batchJob) publish(ctx context.Context, m *item) error {
	return handOver(ctx, b.http, b.url, m)
}

// aim has the instant due fall in the middle between two scans, so that its
// lateness is what users see on average. It returns when the latter is.
func (b *batchJob) aim(ctx context.Context, due time.Time) (time.Time, error) {
	next := due.Add(b.every / 2)
	return next, b.scanAt(ctx, next)
}

// scanAt sets when the next scan is; the others follow at the job's interval.
func (b *batchJob) scanAt(ctx context.Context, at time.Time) error {
	query := url.Values{"at": {strconv.FormatInt(at.UnixMilli(), 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.url+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("set the next scan: %w", err)
	}
	return expectDone(b.http, req)
}

// row is a message as the batch job and River are handed it.
type row struct {
	ID   string          `json:"id"`
	URL  string          `json:"url"`
	Due  int64           `json:"due,omitempty"` // in milliseconds since 1970; at once when 0
	Body json.RawMessage `json:"body"`
}

// handOver posts m as a row, and returns once it is accepted.
func handOver(ctx context.Context, c *http.Client, address string, m *item) error {
	r := row{ID: m.id, URL: m.url, Body: payload}
	if !m.due.IsZero() {
		r.Due = m.due.UnixMilli()
	}
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the row: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("hand over the row: %w", err)
	}
	return expectDone(c, req)
}

// expectDone makes a request that is answered 204.
func expectDone(c *http.Client, req *http.Request) error {
	res, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s %s: %s", req.Method, req.URL, res.Status)
	}
	return nil
}
