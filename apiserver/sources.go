package apiserver

import (
	"context"
	"net/url"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/inbound"
	"github.com/postdate/postdate/internal/ingest"
)

// pathInbound begins the paths of sources.
const pathInbound = "/in/"

// CreateSource registers a source, and shows its path this once.
func (s *server) CreateSource(ctx context.Context, r CreateSourceRequestObject) (CreateSourceResponseObject, error) {
	now, tenant := s.Now().UTC(), tenantOf(ctx)
	text, token := newSourceToken(tenant)
	source := postdate.Source{
		ID: "src_" + idFor(tenant, r.Params.IdempotencyKey), Name: r.Body.Name, Tokens: []postdate.SourceToken{token},
		Verify: r.Body.Verify, Type: r.Body.Type, Entity: r.Body.Entity, Retry: r.Body.Retry, Methods: r.Body.Methods, Answer: r.Body.Answer,
		CreatedAt: now, UpdatedAt: now, Digest: ingest.Digest(*r.Body),
	}
	if r.Body.Deduplicate != nil {
		source.Deduplicate = *r.Body.Deduplicate
	}
	if r.Body.Headers != nil {
		source.Headers = *r.Body.Headers
	}
	if r.Body.To != nil {
		source.To = *r.Body.To
	}
	if r.Body.Timeout != nil {
		source.Timeout = *r.Body.Timeout
	}
	if err := s.validateSource(ctx, source); err != nil {
		return nil, err
	}
	kept, created, err := s.Tenants.CreateSource(ctx, tenant, source)
	if postdate.CodeOf(err) == postdate.Conflict {
		return nil, postdate.Errorf(postdate.Conflict, "", "a source was registered with this Idempotency-Key by a request with another body")
	}
	if err != nil {
		return nil, err
	}
	if !created {
		return CreateSource200JSONResponse(shownSource(kept)), nil
	}
	return CreateSource201JSONResponse(withPath(kept, text)), nil
}

// ListSources lists the tenant's sources in the order in which they were registered.
func (s *server) ListSources(ctx context.Context, _ ListSourcesRequestObject) (ListSourcesResponseObject, error) {
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	list := SourceList{Data: make([]Source, len(tenant.Sources))}
	for i, source := range tenant.Sources {
		list.Data[i] = shownSource(source)
	}
	return ListSources200JSONResponse(list), nil
}

// GetSource shows a source.
func (s *server) GetSource(ctx context.Context, r GetSourceRequestObject) (GetSourceResponseObject, error) {
	source, err := s.source(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return GetSource200JSONResponse(shownSource(source)), nil
}

// ChangeSource changes what is given.
func (s *server) ChangeSource(ctx context.Context, r ChangeSourceRequestObject) (ChangeSourceResponseObject, error) {
	source, err := s.source(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	patch := postdate.SourcePatch{
		Verify: r.Body.Verify, Deduplicate: r.Body.Deduplicate, Type: r.Body.Type, Entity: r.Body.Entity, To: r.Body.To,
		Retry: r.Body.Retry, Timeout: r.Body.Timeout, Headers: r.Body.Headers, Answer: r.Body.Answer,
	}
	if r.Body.Name != "" {
		patch.Name = &r.Body.Name
	}
	if r.Body.Methods != nil {
		patch.Methods = &r.Body.Methods
	}
	if err := s.validateSource(ctx, patch.Apply(source)); err != nil {
		return nil, err
	}
	changed, err := s.Tenants.PatchSource(ctx, tenantOf(ctx), r.ID, patch)
	if err != nil {
		return nil, err
	}
	return ChangeSource200JSONResponse(shownSource(changed)), nil
}

// DeleteSource removes a source. What it has accepted goes on.
func (s *server) DeleteSource(ctx context.Context, r DeleteSourceRequestObject) (DeleteSourceResponseObject, error) {
	if err := postdate.ValidateID("/id", r.ID); err != nil {
		return nil, err
	}
	if err := s.Tenants.DeleteSource(ctx, tenantOf(ctx), r.ID); err != nil {
		return nil, err
	}
	s.rejections.forget(tenantOf(ctx), r.ID)
	return DeleteSource200JSONResponse(r), nil
}

// RotateSourceToken replaces the path of a source, and shows the new one this once.
func (s *server) RotateSourceToken(ctx context.Context, r RotateSourceTokenRequestObject) (RotateSourceTokenResponseObject, error) {
	if _, err := s.source(ctx, r.ID); err != nil {
		return nil, err
	}
	overlap := postdate.DefaultOverlap
	if r.Body != nil && r.Body.Overlap != nil {
		overlap = r.Body.Overlap.Duration()
	}
	if overlap < 0 || overlap > postdate.MaxOverlap {
		return nil, postdate.Errorf(postdate.Invalid, "/overlap", "from 0s to %s", postdate.MaxOverlap)
	}
	text, token := newSourceToken(tenantOf(ctx))
	if _, err := s.Tenants.RotateSourceToken(ctx, tenantOf(ctx), r.ID, token, overlap); err != nil {
		return nil, err
	}
	return RotateSourceToken200JSONResponse{Path: pathInbound + text, Overlap: postdate.Duration(overlap)}, nil
}

// ListRejected lists what a source did not take lately.
func (s *server) ListRejected(ctx context.Context, r ListRejectedRequestObject) (ListRejectedResponseObject, error) {
	if _, err := s.source(ctx, r.ID); err != nil {
		return nil, err
	}
	list, counts := s.rejections.of(tenantOf(ctx), r.ID)
	return ListRejected200JSONResponse{Data: list, Counts: counts, Since: s.rejections.since}, nil
}

// source is the tenant's source of that id.
func (s *server) source(ctx context.Context, id string) (postdate.Source, error) {
	if err := postdate.ValidateID("/id", id); err != nil {
		return postdate.Source{}, err
	}
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil {
		return postdate.Source{}, err
	}
	source, ok := tenant.Source(id)
	if !ok {
		return postdate.Source{}, postdate.Errorf(postdate.NotFound, "", "there is no source %q", id)
	}
	return source, nil
}

// validateSource refuses a source that could not verify anything, or pass nothing on.
func (s *server) validateSource(ctx context.Context, source postdate.Source) error {
	if err := source.Validate(s.AllowHTTP); err != nil {
		return err
	}
	if err := inbound.Check(source); err != nil {
		return err
	}
	switch to := source.To; {
	case to.Endpoint != "":
		tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
		if err != nil {
			return err
		}
		switch endpoint, ok := tenant.Endpoint(to.Endpoint); {
		case !ok:
			return postdate.Errorf(postdate.Invalid, "/to/endpoint", "there is no endpoint %q", to.Endpoint)
		case endpoint.Pull && source.Timeout != 0:
			return postdate.Errorf(postdate.Invalid, "/timeout", "that endpoint is pulled from: a pull says how long its lease lasts")
		}
	case to.Stream != "":
		if err := s.Streams.Check(tenantOf(ctx), to.Stream); err != nil {
			return postdate.Errorf(postdate.Invalid, "/to/stream", "%s", err)
		}
	case to.URL != "":
		return s.validateSourceURL(ctx, to.URL)
	}
	return nil
}

// validateSourceURL refuses a url that is never sent to, and sees to it that what goes there
// can be signed.
func (s *server) validateSourceURL(ctx context.Context, text string) error {
	if s.CheckURL != nil {
		u, err := url.Parse(text)
		if err == nil {
			err = s.CheckURL(tenantOf(ctx), u)
		}
		if err != nil {
			return postdate.Errorf(postdate.Invalid, "/to/url", "%s", err)
		}
	}
	return s.ensureSecret(ctx)
}

// shownSource is a source in an answer: without its secrets and its path.
func shownSource(source postdate.Source) Source {
	v := source.Verify
	shown := Source{
		ID: source.ID, Name: source.Name,
		Verify: VerificationShown{
			Preset: v.Preset, Scheme: v.Scheme, Secrets: len(v.Secrets), Header: v.Header, URL: v.URL, Tolerance: v.Tolerance,
		},
		Deduplicate: inbound.Deduplication(source), Type: inbound.RuleOfType(source), Entity: source.Entity, To: source.To,
		Retry: source.Retry, Timeout: source.Timeout,
		Headers: source.Headers, Methods: source.Methods, Answer: source.Answer, Tokens: tokensOf(source.Tokens),
		Warnings: inbound.Unsigned(source), CreatedAt: source.CreatedAt, UpdatedAt: source.UpdatedAt,
	}
	if shown.Deduplicate == nil {
		shown.Deduplicate = [][]Locator{}
	}
	if shown.Methods == nil {
		shown.Methods = postdate.DefaultMethods
	}
	return shown
}

func tokensOf(tokens []postdate.SourceToken) []SourceToken {
	shown := make([]SourceToken, len(tokens))
	for i, token := range tokens {
		shown[i] = SourceToken{Prefix: token.Prefix, Until: token.Until.Round(time.Second)}
	}
	return shown
}

// withPath is a source in the one answer that shows its path.
func withPath(source postdate.Source, text string) SourceWithPath {
	shown := shownSource(source)
	return SourceWithPath{
		ID: shown.ID, Path: pathInbound + text, Name: shown.Name, Verify: shown.Verify, Deduplicate: shown.Deduplicate, Type: shown.Type,
		Entity: shown.Entity, To: shown.To, Retry: shown.Retry, Timeout: shown.Timeout, Headers: shown.Headers, Methods: shown.Methods, Answer: shown.Answer, Tokens: shown.Tokens, Warnings: shown.Warnings,
		CreatedAt: shown.CreatedAt, UpdatedAt: shown.UpdatedAt,
	}
}
