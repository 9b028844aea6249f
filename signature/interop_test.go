package signature_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	reference "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/signature"
)

func TestInterop_TheReferenceVerifiesWhatWeSign(t *testing.T) {
	t.Parallel()
	now := time.Now() // the reference has no other clock
	for _, v := range vectors(t) {
		signed := header(v.ID, now.Unix(), signature.Sign(v.ID, now, v.Body, v.signers(t)...))
		for _, text := range v.shared() {
			verifier, err := reference.NewWebhook(text)
			require.NoError(t, err)
			require.NoError(t, verifier.Verify(v.Body, signed), v.Name)
			require.Error(t, verifier.Verify(append([]byte{'x'}, v.Body...), signed), v.Name)
		}
	}
}

func TestInterop_WeVerifyWhatTheReferenceSigns(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, v := range vectors(t) {
		var signatures []string
		for _, text := range v.shared() {
			signer, err := reference.NewWebhook(text)
			require.NoError(t, err)
			one, err := signer.Sign(v.ID, now, v.Body)
			require.NoError(t, err)
			signatures = append(signatures, one)
		}
		signed := header(v.ID, now.Unix(), strings.Join(signatures, " "))
		for _, text := range v.shared() {
			require.NoError(t, signature.Verify(signed, v.Body, now, 0, mustParse(t, text)), v.Name)
		}
		if len(signatures) == 0 {
			continue
		}
		require.ErrorIs(t, signature.Verify(signed, v.Body, now, 0, signature.NewSecret()), signature.ErrMismatch)
	}
}

// shared lists the secrets of v that the reference knows: it has no ed25519.
func (v vector) shared() []string {
	return slices.DeleteFunc(slices.Clone(v.Secrets), func(text string) bool { return strings.HasPrefix(text, "whsk_") })
}

func TestInterop_TheHeadersHaveTheSameNames(t *testing.T) {
	t.Parallel()
	for ours, theirs := range map[string]string{
		signature.HeaderID:        reference.HeaderWebhookID,
		signature.HeaderTimestamp: reference.HeaderWebhookTimestamp,
		signature.HeaderSignature: reference.HeaderWebhookSignature,
	} {
		require.Equal(t, http.CanonicalHeaderKey(theirs), http.CanonicalHeaderKey(ours))
	}
}
