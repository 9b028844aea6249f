package apiserver

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/pull"
)

// PullMessages leases messages of an endpoint to a consumer.
func (s *server) PullMessages(ctx context.Context, r PullMessagesRequestObject) (PullMessagesResponseObject, error) {
	if err := s.pulledFrom(ctx, r.ID); err != nil {
		return nil, err
	}
	var body PullRequest
	if r.Body != nil {
		body = *r.Body
	}
	request := pull.Request{
		Max: cmp.Or(body.Max, postdate.DefaultPull), Wait: body.Wait.Duration(), Lease: cmp.Or(body.Lease.Duration(), postdate.DefaultLease),
	}
	if request.Wait < 0 || request.Wait > postdate.MaxPullWait {
		return nil, postdate.Errorf(postdate.Invalid, "/wait", "from 0 to %s", postdate.MaxPullWait)
	}
	if err := validateLease(request.Lease); err != nil {
		return nil, err
	}
	messages, err := s.pull(ctx, r.ID, request)
	if err != nil {
		return nil, err
	}
	answer := PullMessages200JSONResponse{Messages: make([]PulledMessage, len(messages))}
	for i, m := range messages {
		answer.Messages[i] = pulledMessage(m)
	}
	return answer, nil
}

// pull waits for messages. When the process is told to stop, the consumer is answered that
// there are none.
func (s *server) pull(ctx context.Context, endpoint string, r pull.Request) ([]postdate.PulledMessage, error) {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-s.Stopping: // nil: it never is
			stop()
		case <-waiting.Done():
		}
	}()
	messages, err := s.Pulls.Pull(waiting, tenantOf(ctx), endpoint, r)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return nil, nil
	}
	return messages, err
}

func pulledMessage(m postdate.PulledMessage) PulledMessage {
	answer := PulledMessage{
		ID: m.ID, Type: m.Type, Entity: m.Entity, Timestamp: m.Timestamp.UTC(), Data: Data(m.Data), Delivery: m.DeliveryID, Attempt: m.Attempt,
		Receipt: m.Receipt, LeaseUntil: m.LeaseUntil.UTC(), Traceparent: m.TraceParent,
	}
	if !m.ExpiresAt.IsZero() {
		expires := m.ExpiresAt.UTC()
		answer.ExpiresAt = &expires
	}
	return answer
}

// AckMessages says that messages are done.
func (s *server) AckMessages(ctx context.Context, r AckMessagesRequestObject) (AckMessagesResponseObject, error) {
	settled, err := s.settle(ctx, r.ID, pull.SettleRequest{Action: postdate.Ack, Receipts: r.Body.Receipts})
	return AckMessages200JSONResponse(settled), err
}

// NackMessages says that messages could not be handled.
func (s *server) NackMessages(ctx context.Context, r NackMessagesRequestObject) (NackMessagesResponseObject, error) {
	if wait := r.Body.RetryAfter.Duration(); wait < 0 || wait > postdate.MaxRetryAfter {
		return nil, postdate.Errorf(postdate.Invalid, "/retry_after", "from 0 to %s", postdate.MaxRetryAfter)
	}
	settled, err := s.settle(ctx, r.ID, pull.SettleRequest{
		Action: postdate.Nack, Receipts: r.Body.Receipts, RetryAfter: r.Body.RetryAfter, Reason: r.Body.Reason,
	})
	return NackMessages200JSONResponse(settled), err
}

// ExtendLeases makes leases last longer.
func (s *server) ExtendLeases(ctx context.Context, r ExtendLeasesRequestObject) (ExtendLeasesResponseObject, error) {
	if err := validateLease(r.Body.Lease.Duration()); err != nil {
		return nil, err
	}
	settled, err := s.settle(ctx, r.ID, pull.SettleRequest{Action: postdate.Extend, Receipts: r.Body.Receipts, Lease: r.Body.Lease})
	return ExtendLeases200JSONResponse(settled), err
}

func (s *server) settle(ctx context.Context, endpoint string, r pull.SettleRequest) (SettledReceipts, error) {
	if err := s.pulledFrom(ctx, endpoint); err != nil {
		return SettledReceipts{}, err
	}
	settled, err := s.Pulls.Settle(ctx, tenantOf(ctx), endpoint, r)
	if err != nil {
		return SettledReceipts{}, err
	}
	answer := SettledReceipts{Results: make([]SettledReceipt, len(settled))}
	for i, one := range settled {
		answer.Results[i] = SettledReceipt{Receipt: one.Receipt, Result: one.Result}
		if !one.LeaseUntil.IsZero() {
			until := one.LeaseUntil.UTC()
			answer.Results[i].LeaseUntil = &until
		}
	}
	return answer, nil
}

// pulledFrom refuses an endpoint that is not pulled from.
func (s *server) pulledFrom(ctx context.Context, id string) error {
	endpoint, err := s.endpoint(ctx, id)
	if err == nil && !endpoint.Pull {
		err = postdate.Errorf(postdate.Conflict, "", "this endpoint is sent to: only one with pull is pulled from")
	}
	return err
}

func validateLease(d time.Duration) error {
	if d < postdate.MinLease || d > postdate.MaxLease {
		return postdate.Errorf(postdate.Invalid, "/lease", "from %s to %s", postdate.MinLease, postdate.MaxLease)
	}
	return nil
}

// validateKey refuses a key of scope pull without its endpoint, and any other with one.
func (s *server) validateKey(ctx context.Context, k postdate.Key) error {
	switch {
	case k.Scope != postdate.Pull && k.Endpoint != "":
		return postdate.Errorf(postdate.Invalid, "/endpoint", "only a key of scope %q is for one endpoint", postdate.Pull)
	case k.Scope != postdate.Pull:
		return nil
	case k.Endpoint == "":
		return postdate.Errorf(postdate.Invalid, "/endpoint", "a key of scope %q needs the endpoint that it pulls from", postdate.Pull)
	}
	endpoint, err := s.endpoint(ctx, k.Endpoint)
	if code := postdate.CodeOf(err); code == postdate.NotFound || code == postdate.Invalid || err == nil && !endpoint.Pull {
		return postdate.Errorf(postdate.Invalid, "/endpoint", "there is no endpoint of that id that is pulled from")
	}
	return err
}

// reaches reports whether who may do what the request of c asks for with the endpoint that
// it names: a key of scope pull is for one endpoint.
func (who caller) reaches(c echo.Context) bool {
	return who.scope != postdate.Pull || who.endpoint != "" && who.endpoint == c.Param("id")
}
