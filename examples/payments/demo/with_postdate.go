package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	nouns "github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
	"github.com/postdate/postdate/examples/payments"
)

// withPostdate has the requests expire by Postdate, which is killed in the middle.
func withPostdate(ctx context.Context, o Options) (Report, error) {
	folder, err := os.MkdirTemp("", "postdate-demo-")
	if err != nil {
		return Report{}, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	p, err := newPostdate(o.Binary, folder)
	if err != nil {
		return Report{}, err
	}
	if err := p.start(ctx); err != nil {
		return Report{}, errors.Join(err, tail(folder))
	}
	defer func() { p.process.stop() }()
	o.Say("Postdate is ready")

	r := newReceivers()
	example, _, stop, err := startExample(ctx, p, r)
	if err != nil {
		return Report{}, err
	}
	defer stop()

	var disturbing sync.WaitGroup
	var disturbed error
	disturbing.Go(func() { disturbed = disturb(ctx, o, p, r) })
	o.Say("%d requests from John to Doe, PENDING; half are paid before they expire", o.Requests)
	err = carryOut(ctx, plan(o), example.A.Create, func(ctx context.Context, id string) error {
		_, err := example.A.Pay(ctx, id)
		return err
	})
	disturbing.Wait()
	if err := errors.Join(err, disturbed); err != nil {
		return Report{}, err
	}
	o.Say("all payments were made or refused; waiting for what is still to be told")
	return await(ctx, o, 4*time.Minute, example.DB, example.Subscribers, r)
}

// disturb kills Postdate in the middle, and starts it again; and one receiver is away for a
// fifth of the time.
func disturb(ctx context.Context, o Options, p *postdate, r *receivers) error {
	if err := sleep(ctx, o.First+o.Window/5); err != nil {
		return err
	}
	r.goAway("/doe", o.Window/5)
	o.Say("Doe's application is away for %s", o.Window/5)
	if err := sleep(ctx, o.Window*3/10); err != nil {
		return err
	}
	p.process.kill()
	o.Say("kill -9 of Postdate, engine and all")
	if err := p.start(ctx); err != nil {
		return err
	}
	o.Say("Postdate was started again, and is ready")
	return nil
}

// startExample starts both services and the subscribers, with receivers that fail.
func startExample(ctx context.Context, p *postdate, r *receivers) (*payments.Example, string, func(), error) {
	key, err := p.key()
	if err != nil {
		return nil, "", nil, err
	}
	api, err := client.New(p.url(), key)
	if err != nil {
		return nil, "", nil, err
	}
	handler := &later{}
	url, stopServing, err := serve(handler)
	if err != nil {
		return nil, "", nil, err
	}
	example, err := payments.New(ctx, payments.Config{
		Folder: p.folder, API: api, URL: url, Unreliable: r.unreliable, Log: slog.New(slog.DiscardHandler),
		Retry: &nouns.Retry{Initial: nouns.Duration(500 * time.Millisecond), MaxInterval: nouns.Duration(5 * time.Second), MaxAttempts: 100},
	})
	if err != nil {
		stopServing()
		return nil, "", nil, err
	}
	handler.set(example.Handler())
	running, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); example.Run(running) }()
	return example, url, func() {
		stopServing()
		cancel()
		<-ended
		example.Close()
	}, nil
}

// tail is the end of Postdate's log, as an error.
func tail(folder string) error {
	const most = 2000
	text, err := os.ReadFile(folder + "/postdate.log")
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	return fmt.Errorf("the end of its log:\n%s", text[max(0, len(text)-most):])
}
