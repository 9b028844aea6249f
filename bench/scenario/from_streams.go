package scenario

import (
	"context"
	"strconv"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// fromStreams: events that are taken from NATS and from Kafka, with ids and without, and go
// on to a webhook; beside them the same by HTTP. They are written to the broker as fast as it
// takes them. The row is that of events without ids from Kafka.
func fromStreams(ctx context.Context, r *run) (*report.Measured, error) {
	nats, kafka, stop, err := r.startStreams(ctx, false)
	if err != nil {
		return nil, err
	}
	defer stop()
	receiver, err := rig.StartReceiverOf(ctx, system.NameIn)
	if err != nil {
		return nil, err
	}
	defer receiver.Stop()
	for _, url := range []struct{ eventType, url string }{{eventType, receiver.URL}, {"by_http", r.rig.Receiver.URL}} {
		if _, err := r.postdate.Register(ctx, map[string]any{"url": url.url, "event_types": []string{url.eventType}}); err != nil {
			return nil, err
		}
	}
	const times, clients = 10, 8
	named, unnamed := max(1, r.options.Messages/2), r.options.Messages*times
	byHTTP := system.Events{Postdate: r.postdate, Type: "by_http"}
	ways := []way{{
		name: "by HTTP without ids, a hundred in each request", at: r.rig.Receiver, messages: rig.NewMessages(unnamed, "by_http", "", time.Time{}),
		send: func(ctx context.Context, messages []*rig.Message) (time.Time, error) {
			return time.Time{}, rig.InParallel(ctx, clients, system.Batches(messages), byHTTP.PublishBatch)
		},
	}}
	for _, with := range []struct {
		name string
		ids  bool
		n    int
	}{{" with ids", true, named}, {" without ids", false, unnamed}} {
		for _, stream := range []system.Stream{nats, kafka} {
			ways = append(ways, way{
				name: "from " + stream.Name + with.name, at: receiver, messages: rig.NewMessages(with.n, stream.Name+strconv.Itoa(with.n), "", time.Time{}),
				send: func(ctx context.Context, messages []*rig.Message) (time.Time, error) {
					return r.write(ctx, stream, messages, with.ids)
				},
			})
		}
	}
	return r.travel(ctx, ways)
}

// write writes messages to a broker, and returns when Postdate has taken the last.
func (r *run) write(ctx context.Context, stream system.Stream, messages []*rig.Message, named bool) (time.Time, error) {
	to := system.Events{Postdate: r.postdate, Type: eventType}
	before, err := r.postdate.Taken(ctx, stream)
	if err != nil {
		return time.Time{}, err
	}
	records := make([]rig.Record, len(messages))
	for i, m := range messages {
		records[i] = to.Record(m)
		if named {
			records[i] = to.CloudEvent(m, stream.AttributePrefix())
		}
	}
	for start, i := time.Now(), 0; i < len(messages); i++ {
		messages[i].Sent = start
	}
	if err := stream.Write(ctx, records...); err != nil {
		return time.Time{}, err
	}
	for now := before; now.Accepted < before.Accepted+len(messages); {
		if err := rig.Sleep(ctx, 20*time.Millisecond); err != nil {
			return time.Time{}, err
		}
		if now, err = r.postdate.Taken(ctx, stream); err != nil {
			return time.Time{}, err
		}
	}
	taken := time.Now()
	for _, m := range messages {
		m.Accepted = taken
	}
	return taken, nil
}
