package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/guard"
	"github.com/postdate/postdate/signature"
)

// Config is what a sender needs to know.
type Config struct {
	// Guard decides which addresses may be dialled. Default: the public internet.
	Guard *guard.Guard
	// TenantGuards are those of tenants that have one of their own, by name. Nobody
	// else uses the connections that they admit.
	TenantGuards map[string]*guard.Guard
	// UserAgent names us to receivers: "Postdate/1.2.3". Default "Postdate".
	UserAgent string
	// Now is the clock by which attempts are stamped. Default [time.Now].
	Now func() time.Time
}

// Sender delivers messages to urls. It is safe for concurrent use, and keeps
// the connections of all its sends for the next ones.
type Sender struct {
	config    Config
	dialer    *net.Dialer
	transport *http.Transport
	// tenants are the transports of tenants that have a guard of their own.
	tenants map[string]*http.Transport
	tracer  trace.Tracer
	// resolving knows whether the resolver answers.
	resolving *resolving
	// headers are those that all requests have in common.
	headers http.Header
}

// New makes a sender.
func New(c Config) *Sender {
	if c.UserAgent == "" {
		c.UserAgent = "Postdate"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Guard == nil {
		c.Guard = guard.New(guard.Config{})
	}
	dialer := newDialer(c.Guard)
	tenants := make(map[string]*http.Transport)
	for name, own := range c.TenantGuards {
		tenants[name] = newTransport(newDialer(own))
	}
	return &Sender{
		config:    c,
		dialer:    dialer,
		transport: newTransport(dialer),
		resolving: &resolving{dialer: dialer},
		tenants:   tenants,
		tracer:    otel.Tracer("github.com/postdate/postdate/senders/webhook"),
		headers: http.Header{
			"User-Agent": {c.UserAgent},
			// Never sent, being empty. It tells the transport that the request
			// may be repeated when a kept connection turns out to be closed:
			// receivers know a message again by its id.
			"Idempotency-Key": {},
		},
	}
}

var errNoSecret = errors.New("no signing secret")

// Send makes one attempt to deliver m, until the deadline of ctx at the latest,
// or [postdate.MaxTimeout] where it has none. All that concerns the receiver is
// told by the attempt. The error is for what is our own fault: no secret to sign
// with, no time left when it began, nothing to connect with (see ourFault), or ctx
// cancelled before an answer came.
func (s *Sender) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	if err := ctx.Err(); err != nil {
		return postdate.Attempt{}, fmt.Errorf("send %s: %w", m.ID, err)
	}
	signers, err := signersOf(to)
	if err != nil {
		return postdate.Attempt{}, fmt.Errorf("send %s: %w", m.ID, err)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, postdate.MaxTimeout)
		defer cancel()
	}

	begun := s.config.Now()
	attempt, err := s.try(ctx, begun, m, to, signers)
	if err != nil {
		return postdate.Attempt{}, fmt.Errorf("send %s: %w", m.ID, err)
	}
	if attempt.Status == 0 && errors.Is(ctx.Err(), context.Canceled) {
		return postdate.Attempt{}, fmt.Errorf("send %s: %w", m.ID, ctx.Err())
	}
	attempt.At = begun.UTC().Round(0)
	attempt.DurationMS = s.config.Now().Sub(begun).Milliseconds()
	return attempt, nil
}

// signersOf reads the secrets of to, anew for each attempt: that costs little
// beside signing, and so nothing secret is kept.
func signersOf(to postdate.Target) ([]signature.Signer, error) {
	if len(to.Secrets) == 0 {
		return nil, errNoSecret
	}
	signers := make([]signature.Signer, len(to.Secrets))
	for i, secret := range to.Secrets {
		var err error
		if signers[i], err = signature.ParseSigner(secret.Reveal()); err != nil {
			return nil, err
		}
	}
	return signers, nil
}

// try makes one request and says what came of it.
func (s *Sender) try(ctx context.Context, at time.Time, m postdate.Message, to postdate.Target, signers []signature.Signer) (postdate.Attempt, error) {
	limit := timeLeft(ctx)
	began := time.Now() // by the clock by which lookups are noted
	ctx, progress := s.watch(ctx)
	request, err := s.request(ctx, at, m, to, signers)
	if err != nil {
		return failed("the destination's url cannot be read"), nil
	}
	span := s.startSpan(ctx, m, request)
	defer span.End()

	response, err := s.transportOf(m.Tenant).RoundTrip(request)
	if err != nil {
		if fault := s.ourFault(ctx, err, began); fault != "" {
			span.SetStatus(codes.Error, fault)
			return postdate.Attempt{}, errors.New(fault)
		}
		attempt := failed(explain(err, request.URL, limit, progress.connected.Load()))
		describe(span, attempt)
		return attempt, nil
	}
	defer response.Body.Close()
	attempt := classify(response, s.config.Now())
	attempt.Response, err = readBody(response)
	if err != nil && attempt.Error == "" {
		attempt.Error = explainBody(err, limit)
	}
	describe(span, attempt)
	return attempt, nil
}

// transportOf is what a tenant's requests go through.
func (s *Sender) transportOf(tenant string) *http.Transport {
	if own := s.tenants[tenant]; own != nil {
		return own
	}
	return s.transport
}

func failed(reason string) postdate.Attempt {
	return postdate.Attempt{Outcome: postdate.Failed, Error: reason}
}
