package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// row is a message as the batch job and River take it.
type row struct {
	ID   string          `json:"id"`
	URL  string          `json:"url"`
	Due  int64           `json:"due,omitempty"` // in milliseconds since 1970; at once when 0
	Body json.RawMessage `json:"body"`
}

// rowPublisher posts messages as rows.
type rowPublisher struct {
	url  string
	http *http.Client
}

// Publish returns once the row is committed.
func (p rowPublisher) Publish(ctx context.Context, m *rig.Message) error {
	r := row{ID: m.ID, URL: m.URL, Body: payload}
	if !m.Due.IsZero() {
		r.Due = m.Due.UnixMilli()
	}
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the row: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post the row: %w", err)
	}
	return expectNoContent(p.http, req)
}

// expectNoContent makes a request that is to be answered 204.
func expectNoContent(c *http.Client, req *http.Request) error {
	return expect(c, req, func(status int) bool { return status == http.StatusNoContent })
}

// expectSuccess makes a request that is to be answered 2xx.
func expectSuccess(c *http.Client, req *http.Request) error {
	return expect(c, req, func(status int) bool { return status/100 == 2 })
}

func expect(c *http.Client, req *http.Request, ok func(status int) bool) error {
	res, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL, err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection is used again
	if !ok(res.StatusCode) {
		return fmt.Errorf("%s %s: %s", req.Method, req.URL, res.Status)
	}
	return nil
}

// keepingConnections is a client that keeps up to n idle connections to a host.
func keepingConnections(timeout time.Duration, n int) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: n}}
}
