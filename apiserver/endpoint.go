package apiserver

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"

	"github.com/postdate/postdate"
)

// validateEndpoint refuses what could never be sent to.
func (s *server) validateEndpoint(ctx context.Context, e postdate.Endpoint) error {
	if err := e.Validate(s.AllowHTTP); err != nil || s.CheckURL == nil {
		return err
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

// endpointOf is the noun that body describes, with a secret of its own: the one that it
// brings along, or a new one.
func (s *server) endpointOf(body CreateEndpoint) (postdate.Endpoint, error) {
	now := s.Now().UTC()
	scheme := cmp.Or(body.Signature, postdate.HMAC)
	secret, err := secretOf(scheme, body.Secret)
	return postdate.Endpoint{
		URL:         body.URL,
		Description: body.Description,
		EventTypes:  body.EventTypes,
		Headers:     secretsOf(body.Headers),
		Timeout:     body.Timeout,
		Retry:       body.Retry,
		RateLimit:   body.RateLimit,
		MaxInFlight: body.MaxInFlight,
		Coalesce:    body.Coalesce,
		Mode:        cmp.Or(body.Mode, postdate.Standard),
		Signature:   scheme,
		Secrets:     postdate.ExpiringSecrets{{Secret: secret}},
		State:       postdate.Enabled,
		CreatedAt:   now,
		UpdatedAt:   now,
	}, err
}

// secretsOf are the values of headers, which may be secrets.
func secretsOf(headers map[string]string) map[string]postdate.Secret {
	secrets := make(map[string]postdate.Secret, len(headers))
	for name, value := range headers {
		secrets[name] = postdate.Secret(value)
	}
	return secrets
}

// patchOf is the noun that body describes.
func patchOf(body ChangeEndpoint) postdate.EndpointPatch {
	patch := postdate.EndpointPatch{
		Description: body.Description, EventTypes: body.EventTypes, Timeout: body.Timeout, Retry: body.Retry,
		RateLimit: body.RateLimit, MaxInFlight: body.MaxInFlight, Coalesce: body.Coalesce,
	}
	if body.URL != "" {
		patch.URL = &body.URL
	}
	if body.Headers != nil {
		headers := secretsOf(body.Headers)
		patch.Headers = &headers
	}
	if body.Mode != "" {
		patch.Mode = &body.Mode
	}
	return patch
}

// endpointFace shows e: all but its secret and the values of its headers.
func endpointFace(e postdate.Endpoint) Endpoint {
	face := Endpoint{
		ID:           e.ID,
		URL:          e.URL,
		Description:  e.Description,
		EventTypes:   e.EventTypes,
		Headers:      slices.AppendSeq([]string{}, maps.Keys(e.Headers)),
		Timeout:      cmp.Or(e.Timeout, postdate.Duration(postdate.DefaultTimeout)),
		RateLimit:    e.RateLimit,
		MaxInFlight:  e.MaxInFlight,
		Coalesce:     e.Coalesce,
		Mode:         e.Mode,
		Signature:    e.Signature,
		State:        e.State,
		Reason:       e.Reason,
		FailingSince: e.FailingSince,
		CreatedAt:    e.CreatedAt,
		UpdatedAt:    e.UpdatedAt,
	}
	slices.Sort(face.Headers)
	face.Retry = postdate.RetryOrDefault(e.Retry)
	if len(e.Secrets) > 0 {
		_, face.PublicKey = shown(e.Secrets[0].Secret)
	}
	return face
}

// withSecret shows e as it is shown once.
func withSecret(e postdate.Endpoint) EndpointWithSecret {
	face := endpointFace(e)
	secret, _ := shown(e.Secrets[0].Secret)
	return EndpointWithSecret{
		ID: face.ID, URL: face.URL, Description: face.Description, EventTypes: face.EventTypes, Headers: face.Headers,
		Timeout: face.Timeout, Retry: face.Retry, Mode: face.Mode, Signature: face.Signature, PublicKey: face.PublicKey,
		RateLimit: face.RateLimit, MaxInFlight: face.MaxInFlight, Coalesce: face.Coalesce,
		State: face.State, Reason: face.Reason, FailingSince: face.FailingSince,
		CreatedAt: face.CreatedAt, UpdatedAt: face.UpdatedAt, Secret: secret,
	}
}
