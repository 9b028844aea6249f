package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS is a server with JetStream, which keeps its streams on disk. Each topic is a stream
// with one subject of the same name.
type NATS struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	stop   func()
}

// StartNATS starts one that keeps its streams in dir.
func StartNATS(ctx context.Context, dir string) (*NATS, error) {
	const patience = 20 * time.Second
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	n := &NATS{server: s, stop: func() {}}
	s.Start()
	if !s.ReadyForConnections(patience) {
		n.Stop()
		return nil, errors.New("start NATS: it takes no connections")
	}
	if err := n.create(ctx); err != nil {
		n.Stop()
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	return n, nil
}

// create creates the streams. Its errors are wrapped by StartNATS.
//
//nolint:wrapcheck // see above
func (n *NATS) create(ctx context.Context) (err error) {
	if n.conn, err = nats.Connect(n.server.ClientURL()); err != nil {
		return err
	}
	if n.js, err = jetstream.New(n.conn, jetstream.WithPublishAsyncMaxPending(1000)); err != nil {
		return err
	}
	for _, topic := range []string{TopicIn, TopicOut} {
		stream := jetstream.StreamConfig{Name: topic, Subjects: []string{topic}, Storage: jetstream.FileStorage}
		if _, err := n.js.CreateStream(ctx, stream); err != nil {
			return err
		}
	}
	_, err = n.js.CreateConsumer(ctx, TopicIn, jetstream.ConsumerConfig{Durable: Group, AckPolicy: jetstream.AckExplicitPolicy})
	return err
}

// Address is host and port.
func (n *NATS) Address() string { return n.server.Addr().(*net.TCPAddr).String() } //nolint:forcetypeassert // it is never another

// Write stores records in TopicIn.
func (n *NATS) Write(ctx context.Context, records ...Record) error {
	stored := make([]jetstream.PubAckFuture, len(records))
	for i, r := range records {
		m := &nats.Msg{Subject: TopicIn, Data: r.Body, Header: nats.Header{}}
		for name, value := range r.Headers {
			m.Header.Set(name, value)
		}
		var err error
		if stored[i], err = n.js.PublishMsgAsync(m); err != nil {
			return fmt.Errorf("write to NATS: %w", err)
		}
	}
	for _, future := range stored {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			return fmt.Errorf("write to NATS: %w", err)
		case <-ctx.Done():
			return stopped(ctx)
		}
	}
	return nil
}

// Read calls take for each record of TopicOut.
func (n *NATS) Read(ctx context.Context, take func(Record)) error {
	reader, err := n.js.OrderedConsumer(ctx, TopicOut, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("read from NATS: %w", err)
	}
	reading, err := reader.Consume(func(m jetstream.Msg) {
		r := Record{Headers: make(map[string]string, len(m.Headers())), Body: m.Data()}
		for name := range m.Headers() {
			r.Headers[name] = m.Headers().Get(name)
		}
		take(r)
	})
	if err != nil {
		return fmt.Errorf("read from NATS: %w", err)
	}
	n.stop = reading.Stop
	return nil
}

// Stop ends it.
func (n *NATS) Stop() {
	n.stop()
	if n.conn != nil {
		n.conn.Close()
	}
	n.server.Shutdown()
	n.server.WaitForShutdown()
}
