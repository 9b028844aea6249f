package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// payload is the data of every message.
var payload = json.RawMessage(`{"payment_request":"pr_123","amount":4200,"currency":"EUR"}`)

// postdate is the program under test, and its API.
type postdate struct {
	*child

	binary, data string
	database     string // PostgreSQL's; empty: SQLite in the data folder
	env          []string
	ports        []string // HTTP, Web UI, Temporal
	beside       []*child // further processes of it
	apis         []string // addresses of the API, of which each request takes one
	key          string
	tenant       string // that requests act for; empty: the default one
	http         *http.Client
}

// startPostdate starts "postdate dev" in database or, where that is "", on SQLite
// in the stage's folder. It keeps its keys there anyway.
func startPostdate(ctx context.Context, s *stage, database string) (*postdate, error) {
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	p := newPostdate(s.options)
	p.data, p.database, p.ports, p.apis = s.dir, database, ports, []string{"127.0.0.1:" + ports[0]}
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// newPostdate is one that is not running yet.
func newPostdate(o options) *postdate {
	p := &postdate{
		binary: o.binary,
		key:    rand.Text(),
		http: &http.Client{
			Timeout:   time.Minute,
			Transport: &http.Transport{MaxIdleConnsPerHost: o.clients, MaxConnsPerHost: 2 * o.clients},
		},
	}
	// Nothing of the caller's own settings, so that a run says the same everywhere.
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "POSTDATE_") && !strings.HasPrefix(setting, "TEMPORAL_") {
			p.env = append(p.env, setting)
		}
	}
	p.env = append(append(p.env, "POSTDATE_ADMIN_KEY="+p.key), o.env...)
	return p
}

// start starts the child on whatever its data folder holds, and waits until it is ready.
func (p *postdate) start(ctx context.Context) error {
	args := []string{
		"dev", "--data", p.data, "--http", p.apis[0], "--ui-port", p.ports[1], "--temporal-port", p.ports[2],
	}
	if p.database != "" {
		args = append(args, "--db", p.database)
	}
	var err error
	p.child, err = startReady(ctx, "postdate", p.url("/readyz", nil), p.env, p.binary, args...)
	return err
}

func (p *postdate) processes() []*child { return append([]*child{p.child}, p.beside...) }

func (p *postdate) stop() {
	for _, c := range p.beside {
		c.stop()
	}
	if p.child != nil {
		p.child.stop()
	}
}

func (p *postdate) url(path string, query url.Values) string {
	u := url.URL{Scheme: "http", Host: p.apis[mathrand.IntN(len(p.apis))], Path: path, RawQuery: query.Encode()}
	return u.String()
}

type schedule struct {
	ID     string          `json:"id"`
	Entity string          `json:"entity"`
	Type   string          `json:"type"`
	Data   json.RawMessage `json:"data"`
	To     destination     `json:"to"`
	DueAt  time.Time       `json:"due_at,omitzero"`
}

type destination struct {
	URL string `json:"url"`
}

func (p *postdate) publish(ctx context.Context, m *item) error {
	body, err := json.Marshal(schedule{
		ID: m.id, Entity: m.entity, Type: "payment_request.due", Data: payload, To: destination{m.url}, DueAt: m.due.UTC(),
	})
	if err != nil {
		return fmt.Errorf("write the schedule: %w", err)
	}
	return p.call(ctx, http.MethodPost, p.url("/v1/schedules", nil), http.StatusCreated, body, nil)
}

func (p *postdate) cancel(ctx context.Context, m *item) error {
	return p.call(ctx, http.MethodDelete, p.url("/v1/schedules/"+m.id, nil), http.StatusOK, nil, nil)
}

type page struct {
	Data       []schedule `json:"data"`
	HasMore    bool       `json:"has_more"`
	NextCursor string     `json:"next_cursor"`
}

func (p *postdate) list(ctx context.Context, query url.Values) (page, error) {
	var got page
	err := p.call(ctx, http.MethodGet, p.url("/v1/schedules", query), http.StatusOK, nil, &got)
	return got, err
}

// call makes a request, expects that status, and decodes the answer into out.
// A 503 says "try again", so it does: what is measured is a caller who wants it done.
func (p *postdate) call(ctx context.Context, method, address string, status int, body []byte, out any) error {
	for patience := time.Minute; ; patience -= time.Second {
		got, answer, err := p.request(ctx, method, address, body)
		switch {
		case err != nil:
			return fmt.Errorf("%s %s: %w", method, address, err)
		case got == status || repeated(method, got):
			if out == nil {
				return nil
			}
			if err := json.Unmarshal(answer, out); err != nil {
				return fmt.Errorf("%s %s: %w", method, address, err)
			}
			return nil
		case got != http.StatusServiceUnavailable || patience <= 0:
			return fmt.Errorf("%s %s: %d %s: %s", method, address, got, http.StatusText(got), answer)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return stopped(ctx)
		}
	}
}

// repeated tells whether got is the answer to a request that was carried out
// though an earlier answer to it was 503.
func repeated(method string, got int) bool {
	return method == http.MethodPost && got == http.StatusOK
}

// request makes one request. Its errors are wrapped by call, which says which one it was.
func (p *postdate) request(ctx context.Context, method, address string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err //nolint:wrapcheck // see above
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	if p.tenant != "" {
		req.Header.Set("Postdate-Tenant", p.tenant)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := p.http.Do(req)
	if err != nil {
		return 0, nil, err //nolint:wrapcheck // see above
	}
	defer func() { _ = res.Body.Close() }()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err //nolint:wrapcheck // see above
}
