package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// call makes a request with in as its body, expects that status, and decodes the
// answer into out; in and out may be nil. A 503 asks for patience, so it tries again
// for a minute: what is measured is a caller who wants it done.
func (p *Postdate) call(ctx context.Context, method, path string, in any, status int, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	url := "http://" + p.apis[mathrand.IntN(len(p.apis))] + path
	for patience := time.Minute; ; patience -= time.Second {
		got, answer, err := p.request(ctx, method, url, body)
		switch {
		case err != nil:
			return fmt.Errorf("%s %s: %w", method, url, err)
		case got == status || isRepeat(method, got):
			if out == nil {
				return nil
			}
			if err := json.Unmarshal(answer, out); err != nil {
				return fmt.Errorf("%s %s: %w", method, url, err)
			}
			return nil
		case got != http.StatusServiceUnavailable || patience <= 0:
			return fmt.Errorf("%s %s: %d %s: %s", method, url, got, http.StatusText(got), answer)
		}
		if err := rig.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// isRepeat reports whether status answers a request that had been carried out though
// an earlier answer to it was 503.
func isRepeat(method string, status int) bool {
	return method == http.MethodPost && status == http.StatusOK
}

// request makes one request. Its errors are wrapped by call, which names the request.
func (p *Postdate) request(ctx context.Context, method, url string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
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
