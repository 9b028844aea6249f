package system

import (
	"context"
	"net/http"
)

// Consumer pulls messages of an endpoint.
type Consumer struct{}

func (Consumer) String() string { return "a consumer" }

// Consume pulls up to n messages, acknowledges them, and calls done with the id of each.
func (Consumer) Consume(ctx context.Context, p *Postdate, endpoint string, n int, done func(id string)) error {
	var pulled struct {
		Messages []struct{ ID, Receipt string }
	}
	path := "/v1/endpoints/" + endpoint
	err := p.call(ctx, http.MethodPost, path+"/pull", map[string]any{"max": n, "wait": "1s"}, http.StatusOK, &pulled)
	if err != nil || len(pulled.Messages) == 0 {
		return err
	}
	receipts := make([]string, len(pulled.Messages))
	for i, m := range pulled.Messages {
		receipts[i] = m.Receipt
	}
	var settled struct {
		Results []struct{ Result string }
	}
	if err := p.call(ctx, http.MethodPost, path+"/ack", map[string]any{"receipts": receipts}, http.StatusOK, &settled); err != nil {
		return err
	}
	for i, one := range settled.Results {
		if one.Result == "acknowledged" {
			done(pulled.Messages[i].ID)
		}
	}
	return nil
}
