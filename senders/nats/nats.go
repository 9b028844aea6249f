// Package nats publishes to streams of NATS JetStream. What it publishes is stored when the
// stream that is expected says so (PubAck), and not before.
package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postdate/postdate/internal/cloudevent"
	"github.com/postdate/postdate/internal/streams"
)

const (
	// connectTimeout bounds one try to connect, and reconnectWait is the pause between two
	// at one server.
	connectTimeout = 5 * time.Second
	reconnectWait  = 500 * time.Millisecond
	// errCodeTooLarge is JetStream's for a message beyond the stream's max_msg_size.
	errCodeTooLarge = jetstream.ErrorCode(10054)
	// minTTL is the shortest that JetStream takes.
	minTTL = time.Second
)

// Broker publishes to one subject of a JetStream stream.
type Broker struct {
	config streams.Config
	// connected is closed once conn and js are set: the connection is then kept by itself.
	// Without that, err says why there will be none.
	connected chan struct{}
	conn      *nats.Conn
	js        jetstream.JetStream
	err       error
	closed    chan struct{}

	// allowsTTL: the stream takes a TTL for each message, as it was probed last.
	allowsTTL atomic.Bool
	// undialled is why the latest connection was not made.
	undialled atomic.Pointer[error]
	// denied is the latest refusal that came without a request that it belongs to.
	denied atomic.Pointer[denial]
}

// denial is a refusal of the server's, and when it came.
type denial struct {
	at     time.Time
	reason string
}

// Open makes the broker of a stream, and connects in the background.
func Open(c streams.Config) (streams.Broker, error) {
	b := &Broker{config: c, connected: make(chan struct{}), closed: make(chan struct{})}
	options := b.options()
	go func() {
		defer close(b.connected)
		if b.conn, b.err = options.Connect(); b.err != nil {
			return
		}
		b.js, b.err = jetstream.New(b.conn)
		select {
		case <-b.closed:
			b.conn.Close()
		default:
		}
	}()
	return b, nil
}

// Options are those by which a client reaches the brokers of a stream: a connection that is
// lost is made again.
func Options(c streams.Config) nats.Options {
	o := nats.GetDefaultOptions()
	o.Servers = make([]string, len(c.Servers))
	for i, server := range c.Servers {
		o.Servers[i] = "nats://" + server
	}
	o.Name, o.Timeout, o.ReconnectWait = "postdate", connectTimeout, reconnectWait
	// A connection that is lost, or refused, is tried again for ever: what is wrong may be
	// mended at the broker.
	o.MaxReconnect, o.RetryOnFailedConnect, o.IgnoreAuthErrorAbort = -1, true, true
	// What cannot be sent now fails now: the delivery is tried again, and nothing is sent
	// behind its back.
	o.ReconnectBufSize = -1
	o.User, o.Password, o.Token = c.Username, c.Password.Reveal(), c.Token.Reveal()
	if c.CredentialsFile != "" {
		_ = nats.UserCredentials(c.CredentialsFile)(&o) // it reads the file when it connects
	}
	if c.TLS != nil {
		o.Secure, o.TLSConfig = true, c.TLS.Config()
	}
	return o
}

func (b *Broker) options() nats.Options {
	o := Options(b.config)
	o.CustomDialer = dialer{b}
	o.ReconnectErrCB = func(_ *nats.Conn, err error) {
		if !errors.Is(err, nats.ErrNoServers) { // which says less than what came before
			b.undialled.Store(&err)
		}
	}
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		b.denied.Store(&denial{time.Now(), err.Error()})
	}
	return o
}

// dialer dials for a broker, and keeps for it what went wrong last.
type dialer struct{ b *Broker }

// Dial dials.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectTimeout}).Dial(network, address)
	if err != nil {
		d.b.undialled.Store(&err)
		return nil, fmt.Errorf("dial: %w", err)
	}
	return conn, nil
}

// Close closes the connection.
func (b *Broker) Close() {
	close(b.closed)
	select {
	case <-b.connected:
		if b.conn != nil {
			b.conn.Close()
		}
	default: // it is closed once it is made
	}
}

// await waits until the first try to connect is over, and reports why there is no
// connection.
func (b *Broker) await(ctx context.Context) error {
	select {
	case <-b.connected:
	case <-ctx.Done():
		return fmt.Errorf("no connection to the broker yet: %w", ctx.Err())
	}
	if b.err != nil {
		return &streams.PublishError{Reason: "no connection to the broker: " + streams.Words(b.err)}
	}
	if b.conn.IsConnected() {
		return nil
	}
	reason := "no connection to the broker"
	if err := b.conn.LastError(); err != nil {
		reason += ": " + streams.Words(err)
	} else if err := b.undialled.Load(); err != nil {
		reason += ": " + streams.Words(*err)
	}
	return &streams.PublishError{Reason: reason}
}

// Publish publishes r, and waits for the stream's word.
func (b *Broker) Publish(ctx context.Context, r streams.Record) (string, error) {
	if err := b.await(ctx); err != nil {
		return "", err
	}
	begun := time.Now()
	options := []jetstream.PublishOpt{jetstream.WithMsgID(r.ID), jetstream.WithExpectStream(b.config.Stream)}
	if ttl := r.ExpiresAt.Sub(begun).Truncate(time.Second); !r.ExpiresAt.IsZero() && ttl >= minTTL && b.allowsTTL.Load() {
		options = append(options, jetstream.WithMsgTTL(ttl))
	}
	ack, err := b.js.PublishMsg(ctx, b.message(r), options...)
	switch {
	case err != nil:
		return "", b.explain(err, begun)
	case ack.Stream != b.config.Stream:
		return "", &streams.PublishError{Reason: fmt.Sprintf("the stream %q has stored it, and not %q", ack.Stream, b.config.Stream)}
	case ack.Duplicate:
		return fmt.Sprintf("stream %s, sequence %d, stored before", ack.Stream, ack.Sequence), nil
	}
	return fmt.Sprintf("stream %s, sequence %d", ack.Stream, ack.Sequence), nil
}

// message is r as NATS has it: attributes as headers that begin with ce-.
func (b *Broker) message(r streams.Record) *nats.Msg {
	m := &nats.Msg{Subject: b.config.Subject, Data: r.Body, Header: nats.Header{}}
	for _, h := range r.Headers {
		m.Header.Set(h.Name, h.Value)
	}
	for _, a := range r.Attributes {
		m.Header.Set("ce-"+a.Name, cloudevent.PercentEncode(a.Value))
	}
	if r.ContentType != "" {
		m.Header.Set("content-type", r.ContentType)
	}
	if r.ContentType != "" && len(r.Attributes) > 0 {
		// Libraries read the one, and the binding's draft says the other.
		m.Header.Set("ce-datacontenttype", cloudevent.PercentEncode(r.ContentType))
	}
	return m
}

// explain says in words why nothing was stored, or why that is not known.
func (b *Broker) explain(err error, begun time.Time) error {
	refusal, refused := errors.AsType[*jetstream.APIError](err)
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return &streams.PublishError{Reason: fmt.Sprintf("too large: the broker takes %d bytes", b.conn.MaxPayload()), Never: true}
	case refused && refusal.ErrorCode == errCodeTooLarge:
		return &streams.PublishError{Reason: fmt.Sprintf("too large for the stream %q: %s", b.config.Stream, refusal.Description), Never: true}
	case refused:
		return &streams.PublishError{
			Reason: "the stream refuses it: " + refusal.Description,
			Busy:   slices.Contains([]int{http.StatusServiceUnavailable, http.StatusTooManyRequests}, refusal.Code),
		}
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return &streams.PublishError{Reason: fmt.Sprintf("no stream of the broker has the subject %q", b.config.Subject)}
	case errors.Is(err, context.DeadlineExceeded):
		if denied := b.denied.Load(); denied != nil && denied.at.After(begun) {
			return &streams.PublishError{Reason: "the broker refuses it: " + denied.reason}
		}
		return err
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return &streams.PublishError{Reason: "no connection to the broker"}
	}
	return &streams.PublishError{Reason: err.Error()}
}

// Probe asks for the stream, and whether it has the subject.
func (b *Broker) Probe(ctx context.Context) error {
	if err := b.await(ctx); err != nil {
		return err
	}
	name, err := b.js.StreamNameBySubject(ctx, b.config.Subject)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("no stream of the broker has the subject %q", b.config.Subject)
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the broker does not answer")
	case err != nil:
		return fmt.Errorf("ask for the stream of the subject %q: %w", b.config.Subject, err)
	case name != b.config.Stream:
		return fmt.Errorf("the subject %q belongs to the stream %q, and not to %q", b.config.Subject, name, b.config.Stream)
	}
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("ask for the stream %q: %w", name, err)
	}
	b.allowsTTL.Store(stream.CachedInfo().Config.AllowMsgTTL)
	return nil
}
