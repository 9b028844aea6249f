package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/postdate/postdate/examples/payments"
)

// planned is what happens to one request.
type planned struct {
	request payments.Request
	// payAt is when it is paid, or tried to be: zero for the half that is not.
	payAt time.Time
}

// plan is the same for Postdate and for the batch job: half are paid at a random moment
// before they expire, and a tenth of these within 20 ms around it.
func plan(o Options) []planned {
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Now().Add(o.First)
	all := make([]planned, o.Requests)
	for i := range all {
		after := time.Duration(float64(o.Window) * float64(i) / float64(o.Requests))
		p := planned{request: payments.Request{From: "John", To: "Doe", Cents: 100 + random.Int64N(10_000), ExpiresAt: begin.Add(after)}}
		switch {
		case i%20 == 0:
			p.payAt = p.request.ExpiresAt.Add(time.Duration(random.Int64N(int64(40*time.Millisecond))) - 20*time.Millisecond)
		case i%2 == 0:
			earliest := time.Now().Add(o.First / 2)
			p.payAt = earliest.Add(time.Duration(random.Int64N(int64(p.request.ExpiresAt.Sub(earliest)))))
		}
		all[i] = p
	}
	return all
}

// carryOut creates all requests at once, and pays when it is time to.
func carryOut(ctx context.Context, all []planned, create func(context.Context, payments.Request) (payments.Request, error), pay func(context.Context, string) error) error {
	var working sync.WaitGroup
	failures := make(chan error, len(all))
	slots := make(chan struct{}, 8)
	for _, p := range all {
		working.Go(func() {
			slots <- struct{}{}
			r, err := create(ctx, p.request)
			<-slots
			if err == nil && !p.payAt.IsZero() {
				if err = sleep(ctx, time.Until(p.payAt)); err == nil {
					err = pay(ctx, r.ID)
				}
			}
			if err != nil {
				failures <- err
			}
		})
	}
	working.Wait()
	close(failures)
	return <-failures
}
