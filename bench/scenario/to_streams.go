package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// toStreams: events with ids and without, as fast as they are accepted, to an endpoint that
// is a webhook, and to endpoints that are streams of NATS and of Kafka. The row is that of
// events without ids to Kafka.
func toStreams(ctx context.Context, r *run) (*report.Measured, error) {
	nats, kafka, stop, err := r.startStreams(ctx, false)
	if err != nil {
		return nil, err
	}
	defer stop()
	places := []struct {
		name string
		at   arrivals
	}{{name: "webhook", at: r.rig.Receiver}, {name: "nats"}, {name: "kafka"}}
	if _, err := r.postdate.Register(ctx, map[string]any{"url": r.rig.Receiver.URL, "event_types": []string{"webhook"}}); err != nil {
		return nil, err
	}
	for i, stream := range []system.Stream{nats, kafka} {
		if places[i+1].at, err = rig.ReadTopic(ctx, stream, func(r rig.Record) string { return r.Headers["webhook-id"] }); err != nil {
			return nil, err
		}
		if err := r.postdate.SubscribeStream(ctx, stream, stream.Name); err != nil {
			return nil, err
		}
	}
	var ways []way
	for _, named := range []bool{true, false} {
		name, percent := " with ids", 50
		if !named {
			name, percent = " without ids", 300
		}
		for _, place := range places {
			to := system.Events{Postdate: r.postdate, Type: place.name, Named: named}
			ways = append(ways, way{
				name: "to " + place.name + name, at: place.at,
				messages: rig.NewMessages(max(1, r.options.Messages*percent/100), "to_"+place.name, "", time.Time{}),
				send: func(ctx context.Context, messages []*rig.Message) (time.Time, error) {
					return time.Time{}, r.publishAll(ctx, to, messages)
				},
			})
		}
	}
	return r.travel(ctx, ways)
}
