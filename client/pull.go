package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/postdate/postdate"
)

// PullOptions are how [ClientWithResponses.Messages] pulls. The zero value will do.
type PullOptions struct {
	// Max is how many messages are leased at once. Default 10. Those that the loop has not
	// come to wait with their leases running: fewer suit work that takes long.
	Max int
	// Wait is how long one request waits for the first message. Default 20s.
	Wait time.Duration
	// Lease is how long the loop has for all of them. Default 1m.
	Lease time.Duration
}

// Pulled is a message that was pulled. Ack it once its work is done: until then it comes
// again after its lease.
type Pulled struct {
	PulledMessage

	api      *ClientWithResponses
	endpoint string
}

// SettleError says that a consumer no longer had a message when it acknowledged it. Where
// its lease ended, the message comes again.
type SettleError struct {
	Receipt string
	Result  postdate.SettleResult
}

// Error says what became of the message.
func (e *SettleError) Error() string { return fmt.Sprintf("not settled: %s", e.Result) }

// firstPause is the wait after a request that failed, and longestPause the longest.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
)

// Messages pulls from an endpoint until ctx ends or the loop does:
//
//	for m, err := range api.Messages(ctx, "ep_…", client.PullOptions{}) {
//		if err != nil { … }
//		if err := work(m); err != nil {
//			m.Nack(ctx, 0, err.Error())
//			continue
//		}
//		m.Ack(ctx)
//	}
//
// Where a request fails the loop gets the error, and may go on: the next request follows
// after a while. What was leased and not yielded when the loop ends is returned, so that it
// comes again soon: as its next attempt.
func (c *ClientWithResponses) Messages(ctx context.Context, endpoint string, o PullOptions) iter.Seq2[Pulled, error] {
	request := PullRequest{Max: o.Max, Wait: postdate.Duration(o.Wait), Lease: postdate.Duration(o.Lease)}
	if request.Wait == 0 {
		request.Wait = postdate.Duration(20 * time.Second)
	}
	return func(yield func(Pulled, error) bool) {
		pause := firstPause
		for ctx.Err() == nil {
			messages, err := c.pull(ctx, endpoint, request)
			if err != nil {
				if ctx.Err() != nil || !yield(Pulled{}, err) {
					return
				}
				sleep(ctx, pause)
				pause = min(2*pause, longestPause)
				continue
			}
			pause = firstPause
			for i, m := range messages {
				if !yield(Pulled{PulledMessage: m, api: c, endpoint: endpoint}, nil) {
					c.giveBack(ctx, endpoint, messages[i+1:])
					return
				}
			}
		}
	}
}

// pull makes one request.
func (c *ClientWithResponses) pull(ctx context.Context, endpoint string, request PullRequest) ([]PulledMessage, error) {
	answer, err := c.PullMessagesWithResponse(ctx, endpoint, request)
	if err != nil {
		return nil, err
	}
	if answer.JSON200 == nil {
		return nil, fmt.Errorf("pull: answered %s without messages", answer.HTTPResponse.Status)
	}
	return answer.JSON200.Messages, nil
}

func sleep(ctx context.Context, d time.Duration) {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// giveBack returns messages that the loop did not come to. Where that fails their leases
// end all the same.
func (c *ClientWithResponses) giveBack(ctx context.Context, endpoint string, messages []PulledMessage) {
	if len(messages) == 0 {
		return
	}
	request := NackMessages{Reason: "the consumer stopped"}
	for _, m := range messages {
		request.Receipts = append(request.Receipts, m.Receipt)
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	_, _ = c.NackMessagesWithResponse(ctx, endpoint, request)
}

// Ack says that m is done. Its error is a [*SettleError] where the lease was over: then
// somebody may do it again.
func (m Pulled) Ack(ctx context.Context) error {
	answer, err := m.api.AckMessagesWithResponse(ctx, m.endpoint, AckMessages{Receipts: []string{m.Receipt}})
	if err != nil {
		return err
	}
	return settled(answer.JSON200, postdate.Acknowledged)
}

// Nack says that m failed, and why. It comes again after the wait of the endpoint's retry
// policy, and after retryAfter at the earliest.
func (m Pulled) Nack(ctx context.Context, retryAfter time.Duration, reason string) error {
	answer, err := m.api.NackMessagesWithResponse(ctx, m.endpoint,
		NackMessages{Receipts: []string{m.Receipt}, RetryAfter: postdate.Duration(retryAfter), Reason: reason})
	if err != nil {
		return err
	}
	return settled(answer.JSON200, postdate.Nacked)
}

// Extend makes the lease of m last so long from now on.
func (m Pulled) Extend(ctx context.Context, lease time.Duration) error {
	answer, err := m.api.ExtendLeasesWithResponse(ctx, m.endpoint,
		ExtendLeases{Receipts: []string{m.Receipt}, Lease: postdate.Duration(lease)})
	if err != nil {
		return err
	}
	return settled(answer.JSON200, postdate.Extended)
}

// settled is the error of the one receipt of an answer, where it did not come to that.
func settled(answer *SettledReceipts, wanted postdate.SettleResult) error {
	if answer == nil || len(answer.Results) != 1 {
		return errors.New("the answer names no receipt")
	}
	if one := answer.Results[0]; one.Result != wanted {
		return &SettleError{Receipt: one.Receipt, Result: one.Result}
	}
	return nil
}

// Permanent reports whether the same request can only fail again: the API refused it.
func Permanent(err error) bool {
	problem, ok := errors.AsType[*Problem](err)
	return ok && problem.Status >= http.StatusBadRequest && problem.Status < http.StatusInternalServerError &&
		problem.Status != http.StatusTooManyRequests
}
