package tenants

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

func source(id string) postdate.Source {
	return postdate.Source{
		ID: id, Name: "github", Tokens: []postdate.SourceToken{{Prefix: "pdi_x", Hash: "first"}},
		Verify: postdate.Verification{Preset: "github", Secrets: []postdate.Secret{"shared"}}, Deduplicate: []postdate.Locator{}, Headers: []string{},
		To: postdate.Destination{Endpoint: "ep_1"}, Digest: id,
	}
}

func TestStore_ChangesSources(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	kept := func() postdate.Source {
		s, ok := d.read().Source("src_1")
		require.True(t, ok)
		return s
	}
	made, created, err := d.CreateSource(t.Context(), d.tenant, source("src_1"))
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, made, kept())
	require.NotNil(t, kept().Deduplicate, "nothing, which is not the preset's own")
	require.NotNil(t, kept().Headers, "none, which is not all")
	_, created, err = d.CreateSource(t.Context(), d.tenant, source("src_1"))
	require.NoError(t, err)
	require.False(t, created)
	other := source("src_1")
	other.Digest = "else"
	_, _, err = d.CreateSource(t.Context(), d.tenant, other)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err))

	patched, err := d.PatchSource(t.Context(), d.tenant, "src_1", postdate.SourcePatch{
		Name: new("hub"), Verify: &postdate.Verification{Preset: "stripe"}, Type: &postdate.TypeRule{Value: "fixed"},
	})
	require.NoError(t, err)
	require.Equal(t, "hub", patched.Name)
	require.Equal(t, postdate.Verification{Preset: "stripe", Secrets: []postdate.Secret{"shared"}}, patched.Verify, "its secrets stay")
	require.Equal(t, "fixed", patched.Type.Value)

	rotated, err := d.RotateSourceToken(t.Context(), d.tenant, "src_1", postdate.SourceToken{Hash: "second"}, time.Hour)
	require.NoError(t, err)
	require.Len(t, rotated.Tokens, 2)
	require.Equal(t, "second", rotated.Tokens[0].Hash)
	require.True(t, rotated.Tokens[0].Until.IsZero())
	require.WithinDuration(t, time.Now().Add(time.Hour), rotated.Tokens[1].Until, time.Minute)
	again, err := d.RotateSourceToken(t.Context(), d.tenant, "src_1", postdate.SourceToken{Hash: "second"}, time.Hour)
	require.NoError(t, err)
	require.Equal(t, rotated.Tokens, again.Tokens, "a repeated request changes nothing")
	d.record("tenant/sources", protocol.TenantID(d.tenant))

	require.NoError(t, d.DeleteSource(t.Context(), d.tenant, "src_1"))
	require.Empty(t, d.read().Sources)
	require.Equal(t, postdate.NotFound, postdate.CodeOf(d.DeleteSource(t.Context(), d.tenant, "src_1")))
}

// Of handshakes at once, the secret of one is kept.
func TestStore_LearnsASecretOnce(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	learner := source("src_1")
	learner.Verify = postdate.Verification{Preset: "asana"}
	_, _, err := d.CreateSource(t.Context(), d.tenant, learner)
	require.NoError(t, err)
	errs := make([]error, 8)
	var learning sync.WaitGroup
	for i := range errs {
		learning.Go(func() {
			errs[i] = d.LearnSourceSecret(t.Context(), d.tenant, "src_1", postdate.Secret(fmt.Sprintf("secret %d", i)))
		})
	}
	learning.Wait()
	kept, _ := d.read().Source("src_1")
	require.Len(t, kept.Verify.Secrets, 1)
	learned := 0
	for i, err := range errs {
		if err == nil {
			learned++
			require.Equal(t, postdate.Secret(fmt.Sprintf("secret %d", i)), kept.Verify.Secrets[0])
			continue
		}
		require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
	}
	require.Equal(t, 1, learned)
	require.NoError(t, d.LearnSourceSecret(t.Context(), d.tenant, "src_1", kept.Verify.Secrets[0]), "repeated")
	d.record("tenant/source-learned-its-secret", protocol.TenantID(d.tenant))
}

func TestStore_KeepsAHundredSources(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	for i := range postdate.MaxSources {
		_, _, err := d.CreateSource(t.Context(), d.tenant, source(fmt.Sprintf("src_%d", i)))
		require.NoError(t, err)
	}
	_, _, err := d.CreateSource(t.Context(), d.tenant, source("src_more"))
	require.Equal(t, postdate.Invalid, postdate.CodeOf(err))
}
