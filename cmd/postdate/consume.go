package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/consume"
	"github.com/postdate/postdate/internal/consume/kafka"
	"github.com/postdate/postdate/internal/consume/nats"
	"github.com/postdate/postdate/internal/consume/rabbitmq"
	"github.com/postdate/postdate/internal/streams"
)

func newConsume(environ []string) *cobra.Command {
	return newNode(environ, roles{consume: true}, &cobra.Command{
		Use:   "consume",
		Short: "Take events and schedules from streams, and do nothing else",
		Long: `Consume takes events and schedules from the streams that the operator has
configured with "consume", in a process of its own. "serve" and "worker" do it too:
where many are to be taken, run as many of this as the streams have partitions. It
needs no address that others can reach; its health and metrics are served at --http.`,
	})
}

// readerOpeners make the readers of each kind.
var readerOpeners = map[postdate.StreamKind]consume.Open{
	postdate.Kafka:    kafka.Open,
	postdate.NATS:     nats.Open,
	postdate.RabbitMQ: rabbitmq.Open,
}

// newConsumers makes the consumers of the streams from which messages come.
func (p process) newConsumers(s stores, g guards) (*consume.Consumers, error) {
	_, consumed := streams.Split(p.streams)
	config := consume.Config{
		Streams: consumed, Ingester: s.ingester, DeadLetters: s.streams, Meter: otel.Meter("postdate"), Log: p.log, Now: time.Now,
		Open: func(c streams.Config) (consume.Reader, error) { return readerOpeners[c.Kind](c) },
	}
	if len(consumed) > 0 {
		records, err := apiserver.NewRecords(apiserver.Config{
			Tenants: s.tenants, Streams: s.streams, AllowHTTP: p.AllowHTTP, CheckURL: g.checkURL, Log: p.log, Now: time.Now,
		})
		if err != nil {
			return nil, fmt.Errorf("streams: %w", err)
		}
		config.Parser = records
	}
	consumers, err := consume.New(config)
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	return consumers, nil
}

// startConsumers makes the consumers, and starts them where this process is to consume. stop
// waits until what was begun is over.
func (p process) startConsumers(ctx context.Context, s stores, g guards) (consumers *consume.Consumers, stop func(), err error) {
	if consumers, err = p.newConsumers(s, g); err != nil || !p.consume { //nolint:contextcheck // the specification is read, which takes no context
		return consumers, func() {}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		consumers.Run(ctx)
	}()
	return consumers, func() {
		cancel()
		<-done
	}, nil
}

// consumptionOf shows how it goes with the streams from which messages of a tenant come: of
// all tenants where it is empty.
func consumptionOf(consumers *consume.Consumers) func(tenant string) []apiserver.ConsumptionStatus {
	return func(tenant string) []apiserver.ConsumptionStatus {
		statuses := consumers.All()
		if tenant != "" {
			statuses = consumers.Of(tenant)
		}
		shown := make([]apiserver.ConsumptionStatus, len(statuses))
		for i, status := range statuses {
			shown[i] = apiserver.ConsumptionStatus{
				Status: streams.Status{Name: status.Name, Kind: status.Kind, State: reachability(status.State)},
				Consumption: apiserver.Consumption{
					State: status.State, Reason: status.Reason, PerSecond: status.PerSecond, Accepted: status.Accepted, Rejected: status.Rejected,
					LastError: status.LastError, LastErrorAt: status.LastErrorAt,
				},
			}
			if status.Lag >= 0 {
				shown[i].Consumption.Lag = &status.Lag
			}
		}
		return shown
	}
}

// reachability is the state of a stream that is consumed.
func reachability(state postdate.ConsumptionState) postdate.StreamState {
	switch state {
	case postdate.ConsumptionUnknown:
		return postdate.StreamUnknown
	case postdate.ConsumptionUnreachable:
		return postdate.StreamUnreachable
	default:
		return postdate.StreamReady
	}
}
