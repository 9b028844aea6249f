package apiserver

import (
	"cmp"
	"errors"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

// accept starts what carries m, durably. Its id is empty where nothing identifies
// it: then it may share an execution with others. It returns the id by which it is found,
// and whether it was accepted before: the id is the execution's, so of two copies at once
// one starts.
func (t *taking) accept(m postdate.Message) (known string, duplicate bool, err error) {
	tenant, err := t.Tenants.Tenant(t.c.Request().Context(), t.tenant)
	if err != nil {
		return "", false, err
	}
	to := t.source.To
	if to.Endpoint != "" {
		if _, ok := tenant.Endpoint(to.Endpoint); !ok {
			return "", false, postdate.Errorf(postdate.Unavailable, "", "this source leads to an endpoint that has been deleted")
		}
	}
	if to.URL == "" && to.Stream == "" {
		return t.publishInbound(postdate.Event{ID: m.ID, Type: m.Type, Entity: m.Entity, Data: m.Data, Inbound: m.Inbound})
	}
	if to.Stream != "" {
		if err := t.Streams.Check(t.tenant, to.Stream); err != nil {
			return "", false, postdate.Errorf(postdate.Unavailable, "", "this source leads to a stream that is no longer there")
		}
	}
	return t.deliverInbound(m)
}

// publishInbound publishes a message to the source's endpoint, or to the subscribers of its
// type.
func (t *taking) publishInbound(event postdate.Event) (known string, duplicate bool, err error) {
	published, err := t.publishAll(t.c.Request().Context(), ingest.Batch{
		Tenant: t.tenant, Events: []postdate.Event{event}, Endpoint: t.source.To.Endpoint, Limited: true,
		Terms: protocol.Terms{OwnRetry: t.source.Retry, OwnTimeout: t.source.Timeout},
	})
	if err != nil {
		return "", false, err
	}
	result := published[0]
	if event.ID != "" && postdate.CodeOf(result.Err) == postdate.Conflict { // a copy that differs is a copy
		return event.ID, true, nil
	}
	return result.ID, result.Duplicate, result.Err
}

// deliverInbound starts the delivery of a message to the source's url or stream.
func (t *taking) deliverInbound(message postdate.Message) (known string, duplicate bool, err error) {
	ctx, now, id := t.c.Request().Context(), t.Now().UTC(), message.ID
	in := protocol.DeliverInput{Retry: postdate.RetryOrDefault(t.source.Retry)}
	in.Shipment = protocol.DeliveryTask{
		Message: message, To: t.source.To, DueAt: now, Timeout: cmp.Or(t.source.Timeout, postdate.Duration(postdate.DefaultTimeout)),
	}
	in.Shipment.Message.Timestamp = now
	accepted := protocol.Accepted{Digest: ingest.Digest(id), To: t.source.To, At: now}
	if id == "" {
		in.Shipment.Message.ID = newScheduleID(t.tenant, "")
		delivery, err := t.Ingester.AcceptUnnamed(ctx, in, accepted)
		return delivery.ID, false, err
	}
	_, err = t.Ingester.Accept(ctx, in, accepted)
	switch {
	case errors.Is(err, executions.ErrExists):
		return id, true, nil
	case postdate.CodeOf(err).IsRefusal():
		// What was accepted before is answered, whatever the tenant may have besides.
		if before, unknown := t.Ingester.Started(ctx, t.tenant, id); unknown == nil && before {
			return id, true, nil
		}
	}
	return id, false, err
}
