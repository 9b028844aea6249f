package system

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// inboundSecret is what the sender of a source's webhooks signs with.
const inboundSecret = "what GitHub and Postdate know"

// Inbound sends messages as webhooks to a source, signed as GitHub signs.
type Inbound struct {
	*Postdate

	path string
	// Named says whether webhooks have ids, by which the source deduplicates.
	Named bool
}

// NewInbound registers a source that leads to an endpoint.
func (p *Postdate) NewInbound(ctx context.Context, endpoint string) (Inbound, error) {
	var created struct{ Path string }
	err := p.call(ctx, http.MethodPost, "/v1/sources", map[string]any{
		"name": "bench", "verify": map[string]any{"preset": "github", "secrets": []string{inboundSecret}}, "to": map[string]any{"endpoint": endpoint},
	}, http.StatusCreated, &created)
	return Inbound{Postdate: p, path: created.Path}, err
}

// Publish gives m the id that is answered. As senders do, it sends again what is answered
// 503, for a minute.
func (i Inbound) Publish(ctx context.Context, m *rig.Message) error {
	for patience := time.Minute; ; patience -= time.Second {
		status, answer, err := i.send(ctx, m)
		switch {
		case err != nil:
			return fmt.Errorf("send the webhook: %w", err)
		case status == http.StatusAccepted || status == http.StatusOK: // that it was taken before, though the answer was 503
			var accepted struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal(answer, &accepted); err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			m.ID = accepted.ID
			return nil
		case status != http.StatusServiceUnavailable || patience <= 0:
			return fmt.Errorf("the source answered %d: %s", status, answer)
		}
		if err := rig.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// send makes one request. Its errors are wrapped by Publish.
func (i Inbound) send(ctx context.Context, m *rig.Message) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+i.apis[0]+i.path, bytes.NewReader(payload))
	if err != nil {
		return 0, nil, err //nolint:wrapcheck // see above
	}
	mac := hmac.New(sha256.New, []byte(inboundSecret))
	mac.Write(payload)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	req.Header.Set("X-Github-Event", "push")
	if i.Named {
		req.Header.Set("X-Github-Delivery", m.ID)
	}
	res, err := i.http.Do(req)
	if err != nil {
		return 0, nil, err //nolint:wrapcheck // see above
	}
	defer func() { _ = res.Body.Close() }()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err //nolint:wrapcheck // see above
}
