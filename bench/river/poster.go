package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/riverqueue/river"
)

// message is what a job holds.
type message struct {
	ID   string          `json:"id"`
	URL  string          `json:"url"`
	Due  int64           `json:"due,omitempty"` // in milliseconds since 1970; at once when 0
	Body json.RawMessage `json:"body"`
}

// Kind is the name under which River keeps such jobs.
func (message) Kind() string { return "message" }

// poster works the jobs.
type poster struct {
	river.WorkerDefaults[message]

	http   *http.Client
	secret []byte
}

func newPoster() *poster {
	return &poster{
		http:   &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1000}},
		secret: []byte(rand.Text()),
	}
}

// Work makes one attempt; what fails is retried by River.
func (p *poster) Work(ctx context.Context, job *river.Job[message]) error {
	m := job.Args
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return fmt.Errorf("post %s: %w", m.ID, err)
	}
	p.sign(req.Header, m)
	res, err := p.http.Do(req)
	if err != nil {
		return fmt.Errorf("post %s: %w", m.ID, err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection is used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("post %s: %s", m.ID, res.Status)
	}
	return nil
}

// sign writes the headers of Standard Webhooks.
func (p *poster) sign(header http.Header, m message) {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, p.secret)
	mac.Write([]byte(m.ID + "." + at + "."))
	mac.Write(m.Body)
	header.Set("Content-Type", "application/json")
	header.Set("Webhook-Id", m.ID)
	header.Set("Webhook-Timestamp", at)
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
