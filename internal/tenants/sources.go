package tenants

import (
	"context"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// CreateSource adds a source, which is complete and valid. Where one of the same digest has
// its id, that one is returned and created is false. Another one is a [postdate.Conflict].
func (s *Store) CreateSource(ctx context.Context, tenant string, source postdate.Source) (kept postdate.Source, created bool, err error) {
	changed, err := s.changeVisibly(ctx, tenant, true, protocol.UpdateCreateSource, source)
	if err != nil {
		return postdate.Source{}, false, err
	}
	return *changed.Source, changed.Created, nil
}

// PatchSource changes a source.
func (s *Store) PatchSource(ctx context.Context, tenant, id string, patch postdate.SourcePatch) (postdate.Source, error) {
	return s.changeSource(ctx, tenant, protocol.UpdatePatchSource, protocol.PatchSource{ID: id, Patch: patch})
}

// DeleteSource deletes a source. What it has accepted goes on.
func (s *Store) DeleteSource(ctx context.Context, tenant, id string) error {
	_, err := s.changeSource(ctx, tenant, protocol.UpdateDeleteSource, id)
	return err
}

// RotateSourceToken puts a token first. Those before it are valid for as long as overlap.
func (s *Store) RotateSourceToken(ctx context.Context, tenant, id string, token postdate.SourceToken, overlap time.Duration) (postdate.Source, error) {
	return s.changeSource(ctx, tenant, protocol.UpdateRotateSourceToken,
		protocol.RotateSourceToken{ID: id, Token: token, Overlap: postdate.Duration(overlap)})
}

// LearnSourceSecret gives a source that has no secret its sender's. One that has another is
// a [postdate.Conflict].
func (s *Store) LearnSourceSecret(ctx context.Context, tenant, id string, secret postdate.Secret) error {
	_, err := s.changeSource(ctx, tenant, protocol.UpdateLearnSourceSecret, protocol.LearnSourceSecret{ID: id, Secret: secret})
	return err
}

func (s *Store) changeSource(ctx context.Context, tenant, update string, arg any) (postdate.Source, error) {
	changed, err := s.changeVisibly(ctx, tenant, false, update, arg)
	if err != nil {
		return postdate.Source{}, err
	}
	return *changed.Source, nil
}
