package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// roundTrip: records are written to a topic of Kafka, one after another, each a message that
// is due two seconds later. Postdate takes them, and sends them to another topic when they
// are due.
type roundTrip struct {
	interval time.Duration
	// published: they are CloudEvents, which are published to an endpoint that is the other
	// topic. Else they are schedules in Postdate's own form, which go there by name.
	published bool
}

func (t roundTrip) run(ctx context.Context, r *run) (*report.Measured, error) {
	_, kafka, stop, err := r.startStreams(ctx, true)
	if err != nil {
		return nil, err
	}
	defer stop()
	// Each is known by its data: the ids of schedules are Postdate's.
	out, err := rig.ReadTopic(ctx, kafka, func(r rig.Record) string { return system.NameIn(r.Body) })
	if err != nil {
		return nil, err
	}
	if err := r.postdate.SubscribeStream(ctx, kafka, eventType); err != nil {
		return nil, err
	}
	messages := rig.NewMessages(r.options.Messages*10/3, "round_trip", "", time.Time{})
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	to := dueLater{system.Events{Postdate: r.postdate, Type: eventType}, kafka, t.published}
	if err := rig.PublishAtPace(ctx, to, time.Now(), t.interval, messages); err != nil {
		return nil, err
	}
	if err := out.Wait(ctx, len(messages), messages[len(messages)-1].Due); err != nil {
		return nil, err
	}
	if err := m.Pause(ctx); err != nil {
		return nil, err
	}
	peak, err := m.PeakMemory()
	if err != nil {
		return nil, err
	}
	return &report.Measured{Messages: messages, Since: messages[0].Due, CPU: m.CPU(), PeakMemory: peak}, out.Note(messages)
}

// dueLater writes messages to a broker, as what is due two seconds later.
type dueLater struct {
	system.Events

	stream    system.Stream
	published bool
}

// Publish returns once the broker has stored m.
func (d dueLater) Publish(ctx context.Context, m *rig.Message) error {
	m.Due = m.Sent.Add(2 * time.Second).Truncate(time.Millisecond)
	record := d.stream.ScheduleRecord(m)
	if d.published {
		record = d.CloudEvent(m, d.stream.AttributePrefix())
	}
	return d.stream.Write(ctx, record)
}
