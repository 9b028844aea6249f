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
	"github.com/postdate/postdate/internal/guard"
	"github.com/postdate/postdate/senders/sendertest"
	"github.com/postdate/postdate/signature"
)

var (
	secret  = signature.NewSecret()
	secrets = []postdate.Secret{postdate.Secret(secret.Reveal())}
	loop    = guard.New(guard.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	fixed   = time.Date(2027, 1, 1, 9, 0, 0, 123456789, time.UTC)
	message = postdate.Message{
		ID: "pr_123-expiry", Tenant: "acme", Type: "payment_request.due",
		Timestamp: fixed, Data: json.RawMessage(`{"payment_request":"pr_123"}`),
	}
)

const path = "/hooks/p4th-s3cret?token=qu3ry-s3cret"

// target is what is signed with the secret that all these tests share.
func target(url string) postdate.Target { return postdate.Target{URL: url, Secrets: secrets} }

// open makes a sender that may deliver to loopback, with a clock that stands.
func open() *Sender {
	return New(Config{Guard: loop, Now: func() time.Time { return fixed }})
}

// serve is the destination that handler answers at.
func serve(t *testing.T, handler http.HandlerFunc) postdate.Target {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return target(server.URL + path)
}

// send makes one attempt, which must be one.
func send(t *testing.T, s *Sender, to postdate.Target) postdate.Attempt {
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
	for mode, read := range map[postdate.Mode]func(seen) (sendertest.Arrival, error){
		postdate.Standard:              readDocument,
		postdate.CloudEventsStructured: readDocument,
		postdate.CloudEventsBinary: func(r seen) (sendertest.Arrival, error) {
			return sendertest.Arrival{Type: r.Header.Get("Ce-Type"), Data: []byte(r.body)}, nil
		},
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			sendertest.Run(t, func(t *testing.T) sendertest.Harness {
				t.Helper()
				return harness(t, mode, read)
			})
		})
	}
}

func harness(t *testing.T, mode postdate.Mode, read func(seen) (sendertest.Arrival, error)) sendertest.Harness {
	t.Helper()
	arrived := make(chan sendertest.Arrival, sendertest.Backlog)
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || signature.Verify(r.Header, body, time.Now(), 0, secret) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		arrival, err := read(seen{r, string(body)})
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		arrival.ID = r.Header.Get("Webhook-Id")
		arrived <- arrival
	})
	down, stuck := target("http://127.0.0.1:1"+path), serve(t, stuck(t))
	up.Mode, down.Mode, stuck.Mode = mode, mode, mode
	return sendertest.Harness{
		Sender:  New(Config{Guard: loop}),
		Up:      up,
		Down:    down,
		Stuck:   stuck,
		Arrived: arrived,
	}
}

// readDocument reads what has type and data in one JSON document.
func readDocument(r seen) (sendertest.Arrival, error) {
	var document struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	err := json.Unmarshal([]byte(r.body), &document)
	return sendertest.Arrival{Type: document.Type, Data: document.Data}, err
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
