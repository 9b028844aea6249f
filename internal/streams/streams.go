package streams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/postdate/postdate"
)

const (
	// probeInterval is how often each broker is asked for its stream, and probeTimeout how
	// long an answer may take.
	probeInterval = 15 * time.Second
	probeTimeout  = 10 * time.Second
)

// Open makes the broker of a stream. It does not wait for a connection.
type Open func(Config) (Broker, error)

// Streams are all streams of the operator. The zero value has none.
type Streams struct {
	names  []string // in the order in which they are configured
	byName map[string]*stream
	log    *slog.Logger
}

// stream is one of them, and how it is.
type stream struct {
	Config
	broker Broker
	sender *Sender

	mu     sync.Mutex
	state  postdate.StreamState
	reason string
	asOf   time.Time
}

// Status is how a stream is, as this process saw it last.
type Status struct {
	Name  string
	Kind  postdate.StreamKind
	State postdate.StreamState
	// Reason says why it is not ready.
	Reason string
	// AsOf is when the broker was asked last. Zero: not yet.
	AsOf time.Time
}

// New makes the streams of these configurations, with the brokers that open makes.
func New(configs []Config, open Open, log *slog.Logger) (*Streams, error) {
	s := &Streams{byName: make(map[string]*stream, len(configs)), log: log}
	for _, c := range configs {
		broker, err := open(c)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("stream %q: %w", c.Name, err)
		}
		s.names = append(s.names, c.Name)
		s.byName[c.Name] = &stream{Config: c, broker: broker, sender: NewSender(c.Kind, broker), state: postdate.StreamUnknown}
	}
	return s, nil
}

// Close closes all connections.
func (s *Streams) Close() {
	for _, each := range s.byName {
		each.broker.Close()
	}
}

// Send makes one attempt to publish m to the stream that its target names, if its tenant
// may use that.
func (s *Streams) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	each, ok := s.byName[to.Stream]
	if !ok || !each.Allows(m.Tenant) {
		if err := ctx.Err(); err != nil {
			return postdate.Attempt{}, fmt.Errorf("send %s: %w", m.ID, err)
		}
		return postdate.Attempt{
			At: time.Now().UTC().Round(0), Outcome: postdate.Failed, Error: noStream(to.Stream),
		}, nil
	}
	return each.sender.Send(ctx, m, to)
}

// Publish publishes a record of our own to a stream, whoever may use that.
func (s *Streams) Publish(ctx context.Context, stream string, r Record) error {
	each, ok := s.byName[stream]
	if !ok {
		return errors.New(noStream(stream))
	}
	_, err := each.broker.Publish(ctx, r)
	return err
}

func noStream(name string) string {
	return fmt.Sprintf("there is no stream %q: the operator names streams, and which tenants may use them", name)
}

// Check refuses a stream that the tenant may not use. What is none and what is another's
// look the same.
func (s *Streams) Check(tenant, name string) error {
	if each, ok := s.byName[name]; !ok || !each.Allows(tenant) {
		return fmt.Errorf("%s", noStream(name))
	}
	return nil
}

// Of lists the streams that a tenant may use.
func (s *Streams) Of(tenant string) []Status {
	statuses := []Status{}
	for _, name := range s.names {
		if each := s.byName[name]; each.Allows(tenant) {
			statuses = append(statuses, each.status())
		}
	}
	return statuses
}

// All lists all streams.
func (s *Streams) All() []Status {
	statuses := make([]Status, len(s.names))
	for i, name := range s.names {
		statuses[i] = s.byName[name].status()
	}
	return statuses
}

func (s *stream) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{Name: s.Name, Kind: s.Kind, State: s.state, Reason: s.reason, AsOf: s.asOf}
}

// Watch probes all streams, at once and then again and again, until ctx is done. It logs
// what is unreachable, and what is reachable again.
func (s *Streams) Watch(ctx context.Context) {
	var watches sync.WaitGroup
	for _, each := range s.byName {
		watches.Go(func() { s.watch(ctx, each) })
	}
	watches.Wait()
}

func (s *Streams) watch(ctx context.Context, each *stream) {
	again := time.NewTicker(probeInterval)
	defer again.Stop()
	for {
		s.probe(ctx, each)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// probe asks for a stream, and logs what has changed.
func (s *Streams) probe(ctx context.Context, each *stream) {
	bounded, stop := context.WithTimeout(ctx, probeTimeout)
	defer stop()
	err := each.broker.Probe(bounded)
	if ctx.Err() != nil {
		return
	}
	state, reason := postdate.StreamReady, ""
	if err != nil {
		state, reason = postdate.StreamUnreachable, err.Error()
	}
	each.mu.Lock()
	changed := each.state != state || each.reason != reason
	each.state, each.reason, each.asOf = state, reason, time.Now().UTC()
	each.mu.Unlock()
	switch attrs := []slog.Attr{slog.String("stream", each.Name), slog.String("kind", string(each.Kind))}; {
	case !changed:
	case err != nil:
		s.log.LogAttrs(ctx, slog.LevelWarn, "failed to reach a stream", append(attrs, slog.String("error", reason))...)
	default:
		s.log.LogAttrs(ctx, slog.LevelInfo, "reached a stream", attrs...)
	}
}
