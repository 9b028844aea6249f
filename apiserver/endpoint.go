package apiserver

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"

	"github.com/postdate/postdate"
)

// validateEndpoint refuses an endpoint that nothing could ever be sent to.
func (s *server) validateEndpoint(ctx context.Context, e postdate.Endpoint) error {
	if err := e.Validate(s.AllowHTTP); err != nil {
		return err
	}
	if e.Pull {
		return nil
	}
	if e.Stream != "" {
		if err := s.Streams.Check(tenantOf(ctx), e.Stream); err != nil {
			return postdate.Errorf(postdate.Invalid, "/stream", "%s", err)
		}
		return nil
	}
	if s.CheckURL == nil {
		return nil
	}
	if e.Canary.Active() || e.Canary != nil && e.Canary.State == "" {
		if err := s.validateCanary(ctx, e.Canary); err != nil {
			return err
		}
	}
	u, err := url.Parse(e.URL)
	if err == nil {
		err = s.CheckURL(tenantOf(ctx), u)
	}
	if err != nil {
		return postdate.Errorf(postdate.Invalid, "/url", "%s", err)
	}
	return nil
}

// endpointOf is the endpoint that body describes. Its secret is the one in body, or a new
// one.
func (s *server) endpointOf(body CreateEndpoint) (postdate.Endpoint, error) {
	now := s.Now().UTC()
	scheme := cmp.Or(body.Signature, postdate.HMAC)
	secret, err := secretOf(scheme, body.Secret)
	if err != nil {
		return postdate.Endpoint{}, err
	}
	canary, err := canaryOf(body.Canary)
	return postdate.Endpoint{
		URL:         body.URL,
		Stream:      body.Stream,
		Pull:        body.Pull,
		Description: body.Description,
		EventTypes:  body.EventTypes,
		Headers:     secretsOf(body.Headers),
		Timeout:     body.Timeout,
		Retry:       body.Retry,
		RateLimit:   body.RateLimit,
		MaxInFlight: body.MaxInFlight,
		Coalesce:    body.Coalesce,
		Canary:      canary,
		Key:         body.Key,
		Mode:        cmp.Or(body.Mode, defaultMode(body.Stream)),
		Signature:   scheme,
		Secrets:     postdate.ExpiringSecrets{{Secret: secret}},
		State:       postdate.Enabled,
		CreatedAt:   now,
		UpdatedAt:   now,
	}, err
}

// defaultMode is the mode of an endpoint that names none.
func defaultMode(stream string) postdate.Mode {
	if stream != "" {
		return postdate.CloudEventsBinary
	}
	return postdate.Standard
}

// secretsOf are the values of headers, which may be secrets.
func secretsOf(headers map[string]string) map[string]postdate.Secret {
	secrets := make(map[string]postdate.Secret, len(headers))
	for name, value := range headers {
		secrets[name] = postdate.Secret(value)
	}
	return secrets
}

// patchOf is the change that body describes.
func patchOf(body ChangeEndpoint) (postdate.EndpointPatch, error) {
	patch := postdate.EndpointPatch{
		Description: body.Description, EventTypes: body.EventTypes, Timeout: body.Timeout, Retry: body.Retry,
		RateLimit: body.RateLimit, MaxInFlight: body.MaxInFlight, Coalesce: body.Coalesce, Key: body.Key,
	}
	if body.URL != "" {
		patch.URL = &body.URL
	}
	if body.Stream != "" {
		patch.Stream = &body.Stream
	}
	if body.Headers != nil {
		headers := secretsOf(body.Headers)
		patch.Headers = &headers
	}
	if body.Mode != "" {
		patch.Mode = &body.Mode
	}
	canary, err := canaryOf(body.Canary)
	patch.Canary = canary
	return patch, err
}

// shownEndpoint is e in an answer: without its secret and the values of its headers.
func shownEndpoint(e postdate.Endpoint) Endpoint {
	answer := Endpoint{
		ID:           e.ID,
		URL:          e.URL,
		Stream:       e.Stream,
		Pull:         e.Pull,
		Description:  e.Description,
		EventTypes:   e.EventTypes,
		Headers:      slices.AppendSeq([]string{}, maps.Keys(e.Headers)),
		Timeout:      cmp.Or(e.Timeout, postdate.Duration(postdate.DefaultTimeout)),
		RateLimit:    e.RateLimit,
		MaxInFlight:  e.MaxInFlight,
		Coalesce:     e.Coalesce,
		Canary:       shownCanary(e.Canary),
		Key:          e.Key,
		Mode:         e.Mode,
		Signature:    e.Signature,
		State:        e.State,
		Reason:       e.Reason,
		FailingSince: e.FailingSince,
		CreatedAt:    e.CreatedAt,
		UpdatedAt:    e.UpdatedAt,
	}
	slices.Sort(answer.Headers)
	answer.Retry = postdate.RetryOrDefault(e.Retry)
	if len(e.Secrets) > 0 {
		_, answer.PublicKey = shown(e.Secrets[0].Secret)
	}
	return answer
}

// withSecret is e in the one answer that shows its secret.
func withSecret(e postdate.Endpoint) EndpointWithSecret {
	answer := shownEndpoint(e)
	secret, _ := shown(e.Secrets[0].Secret)
	return EndpointWithSecret{
		ID: answer.ID, URL: answer.URL, Stream: answer.Stream, Pull: answer.Pull, Description: answer.Description, EventTypes: answer.EventTypes, Headers: answer.Headers,
		Timeout: answer.Timeout, Retry: answer.Retry, Mode: answer.Mode, Signature: answer.Signature, PublicKey: answer.PublicKey,
		RateLimit: answer.RateLimit, MaxInFlight: answer.MaxInFlight, Coalesce: answer.Coalesce, Key: answer.Key,
		Canary: answer.Canary,
		State:  answer.State, Reason: answer.Reason, FailingSince: answer.FailingSince,
		CreatedAt: answer.CreatedAt, UpdatedAt: answer.UpdatedAt, Secret: secret,
	}
}
