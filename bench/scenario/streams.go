package scenario

import (
	"context"
	"path/filepath"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// startStreams starts brokers, and Postdate anew, which is told of them.
func (r *run) startStreams(ctx context.Context, share bool) (nats, kafka system.Stream, stop func(), err error) {
	n, err := rig.StartNATS(ctx, filepath.Join(r.rig.Dir, "nats"))
	if err != nil {
		return nats, kafka, nil, err
	}
	k, err := rig.StartKafka()
	if err != nil {
		n.Stop()
		return nats, kafka, nil, err
	}
	stop = func() {
		n.Stop()
		k.Stop()
	}
	nats, kafka = system.Stream{Broker: n, Name: "nats"}, system.Stream{Broker: k, Name: "kafka"}
	err = r.restart(ctx, func() error {
		r.postdate.SetStreams(share, nats, kafka)
		return nil
	})
	if err == nil {
		err = r.postdate.Reading(ctx, nats, kafka)
	}
	if err == nil {
		err = r.warmUp(ctx, "warm-again")
	}
	if err != nil {
		stop()
	}
	return nats, kafka, stop, err
}

// way is one by which messages travel, all at once.
type way struct {
	name     string
	messages []*rig.Message
	// send hands all messages over, and returns when the last was taken from a broker: never
	// where none was.
	send func(ctx context.Context, messages []*rig.Message) (taken time.Time, err error)
	// at is where they arrive.
	at arrivals
}

// arrivals notes what arrives.
type arrivals interface {
	Wait(ctx context.Context, n int, due time.Time) error
	Note(messages []*rig.Message) error
}

// travel sends messages one way after another, each when the process is quiet again.
func (r *run) travel(ctx context.Context, ways []way) (*report.Measured, error) {
	figures, arrived := new(report.Streams), make(map[arrivals][]*rig.Message)
	for _, w := range ways {
		m, err := r.startMeter()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		taken, err := w.send(ctx, w.messages)
		if err != nil {
			return nil, err
		}
		arrived[w.at] = append(arrived[w.at], w.messages...)
		if err := w.at.Wait(ctx, len(arrived[w.at]), start); err != nil {
			return nil, err
		}
		if err := m.Pause(ctx); err != nil {
			return nil, err
		}
		if err := w.at.Note(arrived[w.at]); err != nil {
			return nil, err
		}
		figures.StreamLoads = append(figures.StreamLoads, report.StreamLoadOf(w.name, w.messages, start, taken, m.CPU()))
	}
	peak, err := r.postdate.PeakMemory()
	last := ways[len(ways)-1].messages
	return &report.Measured{Messages: last, Since: last[0].Sent, PeakMemory: peak, Streams: figures}, err
}
