package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/senders/kafka"
	"github.com/postdate/postdate/senders/nats"
	"github.com/postdate/postdate/senders/rabbitmq"
	"github.com/postdate/postdate/senders/webhook"
)

// readStreams reads the operator's streams, from a setting or from a file.
func (c config) readStreams() ([]streams.Config, error) {
	name, text := prefix+"STREAMS", c.Streams
	file, isFile := strings.CutPrefix(text, "@")
	if c.StreamsFile != "" {
		if text != "" {
			return nil, errors.New(prefix + "STREAMS_FILE: it and " + prefix + "STREAMS exclude each other")
		}
		name, file, isFile = prefix+"STREAMS_FILE", c.StreamsFile, true
	}
	if isFile {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text = string(content)
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	configs, err := streams.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return configs, nil
}

// openers make the brokers of each kind.
var openers = map[postdate.StreamKind]streams.Open{
	postdate.Kafka:    kafka.Open,
	postdate.NATS:     nats.Open,
	postdate.RabbitMQ: rabbitmq.Open,
}

// openStreams makes the streams that are configured, and watches them until ctx is done. It
// waits for no connection.
func (p process) openStreams(ctx context.Context) (*streams.Streams, error) {
	sent, _ := streams.Split(p.streams)
	configured, err := streams.New(sent, func(c streams.Config) (streams.Broker, error) {
		open, ok := openers[c.Kind]
		if !ok {
			return nil, fmt.Errorf("url: %s is not known here", c.Kind)
		}
		return open(c)
	}, p.log)
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	go configured.Watch(ctx)
	return configured, nil
}

// sender makes attempts at urls and at streams.
type sender struct {
	urls    *webhook.Sender
	streams *streams.Streams
}

// Send makes one attempt.
func (s sender) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	if to.Stream != "" {
		return s.streams.Send(ctx, m, to)
	}
	return s.urls.Send(ctx, m, to)
}
