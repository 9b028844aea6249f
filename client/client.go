// Package client calls Postdate's HTTP API. It is generated from the API's
// specification; what is written by hand is the key, the tenant, and errors
// that can be read.
package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml ../apiserver/openapi.yaml

// timeout bounds a call. The server waits for attempts that are under way, each
// of which may take a minute, before it answers that a schedule is cancelled.
const timeout = 90 * time.Second

// maxProblem bounds what is read of an error's body, in bytes.
const maxProblem = 1 << 20

// New makes a client of the API at baseURL, with a tenant's key or its operator's.
// Every answer but 2xx is an error; where the API gave it, a [*Problem].
func New(baseURL, key string, options ...ClientOption) (*ClientWithResponses, error) {
	withKey := withHeader("Authorization", "Bearer "+key)
	return NewClientWithResponses(baseURL, append([]ClientOption{withKey}, append(options, withProblems)...)...)
}

// WithTenant makes calls for a tenant, with the operator's key: without it, they
// are for "default". A tenant's key names its tenant.
func WithTenant(tenant string) ClientOption { return withHeader("Postdate-Tenant", tenant) }

func withHeader(name, value string) ClientOption {
	return WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set(name, value)
		return nil
	})
}

// Error says what is wrong, for people. Programs read Code.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s", p.Status, p.Title)
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	if p.RequestID != "" {
		text += " (request " + p.RequestID + ")"
	}
	return text
}

// problems is a doer whose answers are all 2xx: others are errors.
type problems struct{ HttpRequestDoer }

// withProblems has c answer errors. It wraps whichever doer the options before
// it have chosen.
func withProblems(c *Client) error {
	if c.Client == nil {
		c.Client = &http.Client{Timeout: timeout}
	}
	c.Client = problems{c.Client}
	return nil
}

// Do makes the call, and an error of an answer that is not 2xx.
func (p problems) Do(r *http.Request) (*http.Response, error) {
	answer, err := p.HttpRequestDoer.Do(r)
	if err != nil || answer.StatusCode < http.StatusMultipleChoices {
		return answer, err
	}
	defer func() { _ = answer.Body.Close() }() // it was read as far as it is used
	problem := &Problem{Status: answer.StatusCode, Title: http.StatusText(answer.StatusCode)}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxProblem))
	if err == nil {
		// What is not a problem came from somewhere between: its status must do.
		_ = json.Unmarshal(body, problem)
	}
	return nil, problem
}
