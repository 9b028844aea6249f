package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postdate/postdate/internal/streams"
)

const (
	// dialTimeout bounds one try to connect, and redialAfter is the pause until the next one.
	dialTimeout = 5 * time.Second
	redialAfter = 500 * time.Millisecond
	heartbeat   = 10 * time.Second
	// maxChannels bounds the channels of a connection. Each has one message under way.
	maxChannels = 256
)

// session is one connection, and the channels that are free.
type session struct {
	conn *amqp.Connection
	free chan *channel
	// slots holds a token for each channel that may be opened or is under way.
	slots chan struct{}
	// blocked is why the broker has blocked the connection, if it has.
	blocked atomic.Pointer[string]
}

// channel publishes one message after another: so what is returned, and what is confirmed,
// belongs to the one that is under way.
type channel struct {
	*amqp.Channel
	returned chan amqp.Return
	closed   chan *amqp.Error
}

// connection keeps a session, and makes another one where it is lost.
type connection struct {
	config streams.Config

	mu      sync.Mutex
	current *session
	dialled chan struct{} // closed once the dial that is under way is over; nil where none is
	failed  error         // what the latest dial came to
	failAt  time.Time
	closed  bool
}

// session returns a session that is open, and connects where there is none.
func (c *connection) session(ctx context.Context) (*session, error) {
	for {
		current, dialled, err := c.currentOrDial()
		if current != nil || err != nil {
			return current, err
		}
		select {
		case <-dialled:
		case <-ctx.Done():
			return nil, fmt.Errorf("no connection to the broker yet: %w", ctx.Err())
		}
	}
}

// currentOrDial returns the session that is open, or the end of a dial to wait for, or why
// there is neither.
func (c *connection) currentOrDial() (current *session, dialled <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.current != nil && !c.current.conn.IsClosed():
		return c.current, nil, nil
	case c.closed:
		return nil, nil, &streams.PublishError{Reason: "the connection was closed, for the process stops"}
	case c.dialled == nil && c.failed != nil && time.Since(c.failAt) < redialAfter:
		return nil, nil, &streams.PublishError{Reason: "no connection to the broker: " + words(c.failed)}
	case c.dialled == nil:
		c.dialled = make(chan struct{})
		go c.dial(c.dialled)
	}
	return nil, c.dialled, nil
}

// Dial connects to the broker of a stream.
func Dial(c streams.Config) (*amqp.Connection, error) {
	address := url.URL{Scheme: "amqp", Host: c.Servers[0], Path: "/"}
	config := amqp.Config{
		Vhost: c.VHost, Heartbeat: heartbeat, Dial: amqp.DefaultDial(dialTimeout),
		Properties: amqp.Table{"connection_name": "postdate"},
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: c.Username, Password: c.Password.Reveal()}},
	}
	if c.TLS != nil {
		address.Scheme, config.TLSClientConfig = "amqps", c.TLS.Config()
	}
	return amqp.DialConfig(address.String(), config) //nolint:wrapcheck // words reads it
}

// dial connects once.
func (c *connection) dial(dialled chan struct{}) {
	conn, err := Dial(c.config)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(dialled)
	c.dialled, c.failed, c.failAt = nil, err, time.Now()
	switch {
	case err != nil:
	case c.closed:
		_ = conn.Close()
	default:
		c.current = newSession(conn)
	}
}

func newSession(conn *amqp.Connection) *session {
	s := &session{conn: conn, free: make(chan *channel, maxChannels), slots: make(chan struct{}, maxChannels)}
	blockings := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	go func() {
		for b := range blockings { // it is closed with the connection
			reason := &b.Reason
			if !b.Active {
				reason = nil
			}
			s.blocked.Store(reason)
		}
	}()
	return s
}

// close closes the connection.
func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.current != nil {
		_ = c.current.conn.CloseDeadline(time.Now().Add(time.Second))
	}
}

// acquire returns a channel that nobody uses: give it back, or drop it.
func (s *session) acquire(ctx context.Context) (*channel, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case ch := <-s.free:
		return ch, nil
	default:
	}
	ch, err := s.open(ctx)
	if err != nil {
		<-s.slots
		return nil, err
	}
	return ch, nil
}

// open opens a channel that confirms what is published. The library knows
// no ctx.
func (s *session) open(ctx context.Context) (*channel, error) {
	type result struct {
		ch  *channel
		err error
	}
	opened := make(chan result, 1)
	go func() {
		ch, err := s.conn.Channel()
		if err == nil {
			err = ch.Confirm(false)
		}
		if err != nil {
			opened <- result{err: err}
			return
		}
		opened <- result{ch: &channel{
			Channel: ch, returned: ch.NotifyReturn(make(chan amqp.Return, 1)), closed: ch.NotifyClose(make(chan *amqp.Error, 1)),
		}}
	}()
	select {
	case r := <-opened:
		return r.ch, r.err
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.err == nil {
				_ = r.ch.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// release gives a channel back, for the next message.
func (s *session) release(ch *channel) {
	s.free <- ch
	<-s.slots
}

// drop gives up a channel whose answer did not come.
func (s *session) drop(ch *channel) {
	<-s.slots
	go func() { _ = ch.Close() }() // it waits for the broker
}

// words says in words what is wrong with a connection.
func words(err error) string {
	if failure, ok := errors.AsType[*amqp.Error](err); ok {
		return strings.ToLower(failure.Reason)
	}
	if failure, ok := errors.AsType[net.Error](err); ok && failure.Timeout() {
		return "it does not answer"
	}
	return streams.Words(err)
}
