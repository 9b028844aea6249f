package scenario

import (
	"context"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// hanging: the messages of one tenant go to bare urls whose receivers take nearly as long
// as an attempt may, and are due one after another. Of another tenant single ones are due in
// the same time, and before that, alone. The row is the other's.
func hanging(ctx context.Context, r *run) (*report.Measured, error) {
	const hosts, interval, lasts, takes = 8, 100 * time.Millisecond, 20 * time.Second, 50 * time.Second
	var receivers []*rig.SlowReceiver
	for range hosts {
		receiver, err := rig.StartSlowReceiver(ctx, takes)
		if err != nil {
			return nil, err
		}
		defer receiver.Stop()
		receivers = append(receivers, receiver)
	}
	alone, err := r.others(ctx, "alone", interval, lasts)
	if err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Wait(ctx, len(alone), alone[len(alone)-1].Due); err != nil {
		return nil, err
	}
	due, err := r.instant(ctx, r.options.Messages)
	if err != nil {
		return nil, err
	}
	stuck := rig.NewMessages(r.options.Messages, "hanging", "", due)
	for i, m := range stuck {
		m.URL = receivers[i%hosts].URL
		m.Due = due.Add(lasts * time.Duration(i) / time.Duration(len(stuck))).Truncate(time.Millisecond)
	}
	if err := r.publishAll(ctx, system.Patient{Postdate: r.postdate.As("hanging"), Timeout: time.Minute}, stuck); err != nil {
		return nil, err
	}
	if err := rig.Sleep(ctx, time.Until(due)); err != nil {
		return nil, err
	}
	beside, err := r.others(ctx, "beside", interval, lasts)
	if err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Wait(ctx, len(alone)+len(beside), beside[len(beside)-1].Due); err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Note(slices.Concat(alone, beside)); err != nil {
		return nil, err
	}
	figures := report.HangingOf(beside, alone)
	figures.HangingMessages = len(stuck)
	for _, receiver := range receivers {
		receiver.Stop() // then the calls under way end, and are noted
		figures.HangingInFlight += receiver.Calls().MostInFlight()
	}
	peak, err := r.postdate.PeakMemory()
	return &report.Measured{Messages: beside, Since: beside[0].Due, PeakMemory: peak, Hanging: figures}, err
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
