package ingest

import (
	"context"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Quotas bound what a tenant keeps.
type Quotas interface {
	// Admit adds messages and their bytes to what a tenant keeps, or refuses them. release
	// takes them back, where they are not kept after all.
	Admit(ctx context.Context, tenant string, messages, bytes int64) (release func(), err error)
}

// unlimited admits everything.
type unlimited struct{}

func (unlimited) Admit(context.Context, string, int64, int64) (release func(), err error) {
	return func() {}, nil
}

// executionBytes is about what an execution keeps beside its data.
const executionBytes = 1 << 10

// Accept starts the execution of a caller's delivery, as [Ingester.Start] does, unless a
// quota of the tenant refuses it, or it is due while too much waits already. What was
// accepted before is refused too: the caller asks for it.
func (i *Ingester) Accept(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) (postdate.Delivery, error) {
	return i.accept(ctx, in, accepted, i.Start)
}

// AcceptUnnamed is the same for a schedule that its caller did not name: see
// [Ingester.StartUnnamed].
func (i *Ingester) AcceptUnnamed(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) (postdate.Delivery, error) {
	return i.accept(ctx, in, accepted, i.StartUnnamed)
}

// AcceptAllUnnamed is the same for many: see [Ingester.StartAllUnnamed]. One that is refused
// keeps none of the others back.
func (i *Ingester) AcceptAllUnnamed(ctx context.Context, schedules []Unnamed) []Created {
	results, admitted := make([]Created, len(schedules)), make([]Unnamed, 0, len(schedules))
	places, releases := make([]int, 0, len(schedules)), make([]func(), 0, len(schedules))
	for place, schedule := range schedules {
		release, err := i.admit(ctx, schedule.Input)
		if err != nil {
			results[place].Err = err
			continue
		}
		admitted, places, releases = append(admitted, schedule), append(places, place), append(releases, release)
	}
	for n, created := range i.StartAllUnnamed(ctx, admitted) {
		results[places[n]] = created
		if created.Err != nil {
			releases[n]()
		}
	}
	return results
}

// admit adds a delivery to what its tenant keeps, or refuses it. release takes it back.
func (i *Ingester) admit(ctx context.Context, in protocol.DeliverInput) (release func(), err error) {
	if err := i.backlog(in.Shipment.DueAt); err != nil {
		return nil, err
	}
	message := in.Shipment.Message
	return i.quotas.Admit(ctx, message.Tenant, 1, int64(len(message.Data))+executionBytes)
}

func (i *Ingester) accept(
	ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted,
	start func(context.Context, protocol.DeliverInput, protocol.Accepted) (postdate.Delivery, error),
) (postdate.Delivery, error) {
	release, err := i.admit(ctx, in)
	if err != nil {
		return postdate.Delivery{}, err
	}
	delivery, err := start(ctx, in, accepted)
	if err != nil {
		release()
	}
	return delivery, err
}

// check refuses a caller's request where too much waits already, or where it makes too many
// deliveries.
func (r *publishRun) check() error {
	if !r.Limited {
		return nil
	}
	if err := r.backlog(r.at); err != nil {
		return err
	}
	deliveries := 0
	for _, event := range r.Events {
		deliveries += len(r.endpointsOf(r.tenant, event))
	}
	if r.maxRequest == 0 || deliveries <= r.maxRequest {
		return nil
	}
	return postdate.Errorf(postdate.QuotaDeliveries, "/events",
		"the events of a request may make %d deliveries together, and these make %d: publish fewer at once", r.maxRequest, deliveries)
}

// admit adds events to what the tenant keeps, or refuses them.
func (r *publishRun) admit(ctx context.Context, publications ...protocol.Publication) (release func(), err error) {
	if !r.Limited || r.refusal != nil {
		return func() {}, r.refusal
	}
	messages, bytes := 0, 0
	for _, publication := range publications {
		messages += max(1, len(publication.Endpoints))
		bytes += len(publication.Message.Data) + executionBytes
	}
	return r.quotas.Admit(ctx, r.Tenant, int64(messages), int64(bytes))
}
