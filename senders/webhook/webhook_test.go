package webhook

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/senders/sendertest"
	"github.com/postdate/postdate/signature"
)

var (
	secret  = signature.NewSecret()
	loop    = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	fixed   = time.Date(2027, 1, 1, 9, 0, 0, 123456789, time.UTC)
	message = postdate.Message{
		ID: "pr_123-expiry", Tenant: "acme", Type: "payment_request.due",
		Timestamp: fixed, Data: json.RawMessage(`{"payment_request":"pr_123"}`),
	}
)

const path = "/hooks/p4th-s3cret?token=qu3ry-s3cret"

func secrets(context.Context, string) ([]signature.Secret, error) {
	return []signature.Secret{secret}, nil
}

// open makes a sender that may deliver to loopback, with a clock that stands.
func open() *Sender {
	return New(Config{AllowNetworks: loop, Secrets: secrets, Now: func() time.Time { return fixed }})
}

// serve is the destination that handler answers at.
func serve(t *testing.T, handler http.HandlerFunc) postdate.Destination {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return postdate.Destination{URL: server.URL + path}
}

// send makes one attempt, which must be one.
func send(t *testing.T, s *Sender, to postdate.Destination) postdate.Attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), postdate.DefaultTimeout)
	defer cancel()
	a, err := s.Send(ctx, message, to)
	require.NoError(t, err)
	require.NotContains(t, a.Error, "s3cret")
	return a
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sendertest.Run(t, func(t *testing.T) sendertest.Harness {
		t.Helper()
		arrived := make(chan sendertest.Arrival, sendertest.Backlog)
		up := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || signature.Verify(r.Header, body, time.Now(), 0, secret) != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			var envelope struct {
				Type string          `json:"type"`
				Data json.RawMessage `json:"data"`
			}
			if err := json.Unmarshal(body, &envelope); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			arrived <- sendertest.Arrival{ID: r.Header.Get("Webhook-Id"), Type: envelope.Type, Data: envelope.Data}
		})
		return sendertest.Harness{
			Sender:  New(Config{AllowNetworks: loop, Secrets: secrets}),
			Up:      up,
			Down:    postdate.Destination{URL: "http://127.0.0.1:1" + path},
			Stuck:   serve(t, stuck(t)),
			Arrived: arrived,
		}
	})
}

// stuck is a handler that reads a request and does not answer it while the
// test lasts.
func stuck(t *testing.T) http.HandlerFunc {
	t.Helper()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}
}
