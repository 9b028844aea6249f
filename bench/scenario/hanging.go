package scenario

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

const hangingHosts = 8

// hanging: the messages of one tenant go to bare urls, due one after another, first to
// receivers that answer at once, then to the same ones when they take nearly as long as an
// attempt may. Of another tenant single ones are due in the same time, and before that,
// alone. The row is the other's beside those that hang.
func hanging(ctx context.Context, r *run) (*report.Measured, error) {
	var receivers []*rig.SlowReceiver
	for range hangingHosts {
		receiver, err := rig.StartSlowReceiver(ctx, 0)
		if err != nil {
			return nil, err
		}
		defer receiver.Stop() //nolint:gocritic // all of them until the scenario ends
		receivers = append(receivers, receiver)
	}
	each, err := r.acceptTime(ctx)
	if err != nil {
		return nil, err
	}
	var others [3][]*rig.Message
	for i, phase := range []struct {
		name  string
		takes time.Duration
	}{{"alone", 0}, {"answering", 0}, {"hanging", 50 * time.Second}} {
		for _, receiver := range receivers {
			receiver.Become(phase.takes, http.StatusNoContent)
		}
		if others[i], err = r.besideThose(ctx, phase.name, receivers, each); err != nil {
			return nil, err
		}
		last := others[i][len(others[i])-1]
		if err := r.rig.Receiver.Wait(ctx, (i+1)*len(others[i]), last.Due); err != nil {
			return nil, err
		}
	}
	if err := r.rig.Receiver.Note(slices.Concat(others[:]...)); err != nil {
		return nil, err
	}
	figures := report.HangingOf(others[0], others[1], others[2])
	figures.HangingMessages = r.options.Messages
	for _, receiver := range receivers {
		receiver.Stop() // then the calls under way end, and are noted
		figures.HangingInFlight += receiver.Calls().MostInFlight()
	}
	peak, err := r.postdate.PeakMemory()
	return &report.Measured{Messages: others[2], Since: others[2][0].Due, PeakMemory: peak, Hanging: figures}, err
}

// besideThose publishes the other tenant's messages, beside those to receivers, of which
// each takes so long to accept, or alone.
func (r *run) besideThose(ctx context.Context, phase string, receivers []*rig.SlowReceiver, each time.Duration) ([]*rig.Message, error) {
	const interval, lasts = 100 * time.Millisecond, 20 * time.Second
	if phase != "alone" {
		due := instantFor(r.options.Messages, each)
		stuck := rig.NewMessages(r.options.Messages, "to-"+phase, "", due)
		for i, m := range stuck {
			m.URL = receivers[i%len(receivers)].URL
			m.Due = due.Add(lasts * time.Duration(i) / time.Duration(len(stuck))).Truncate(time.Millisecond)
		}
		if err := r.publishAll(ctx, system.Patient{Postdate: r.postdate.As("hanging"), Timeout: time.Minute}, stuck); err != nil {
			return nil, err
		}
		if err := rig.Sleep(ctx, time.Until(due)); err != nil {
			return nil, err
		}
	}
	return r.others(ctx, phase, interval, lasts)
}

// others publishes messages of the other tenant, of which one is due every interval.
func (r *run) others(ctx context.Context, prefix string, interval, lasts time.Duration) ([]*rig.Message, error) {
	const ahead = 2 * time.Second
	messages := rig.NewMessages(int(lasts/interval), prefix, r.rig.Receiver.URL, time.Time{})
	start := time.Now()
	for i, m := range messages {
		m.Due = start.Add(time.Duration(i)*interval + ahead).Truncate(time.Millisecond)
	}
	return messages, rig.PublishAtPace(ctx, r.postdate.As("other"), start, interval, messages)
}
