package payments

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/receiver/natsreceiver"
)

// maxWaiting is how many reminders may sleep in the stream's consumer at once.
const maxWaiting = 10_000

// ListenToNATS has service B told by a stream of NATS JetStream, and not by webhook: the same
// function with the same marks. It returns when ctx is done and what was under way is too.
func ListenToNATS(ctx context.Context, url, stream string, b *receiver.Receiver) error {
	conn, err := nats.Connect(url)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: "service-b", MaxAckPending: maxWaiting})
	if err != nil {
		return fmt.Errorf("make the consumer: %w", err)
	}
	return natsreceiver.Run(ctx, consumer, b, natsreceiver.Config{})
}
