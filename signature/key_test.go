package signature_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/signature"
)

// The pair that Svix's server publishes in its documentation.
const (
	signingKey = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	publicKey  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
)

func TestParseSigningKey_TakesAPairOrItsSeed(t *testing.T) {
	t.Parallel()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signingKey, "whsk_"))
	require.NoError(t, err)
	for _, text := range []string{signingKey, "whsk_" + base64.StdEncoding.EncodeToString(raw[:32])} {
		key, err := signature.ParseSigningKey(text)
		require.NoError(t, err)
		require.Equal(t, signingKey, key.Reveal())
		require.Equal(t, publicKey, key.Public().String())
	}
}

func TestParseSigningKey_RefusesTheRestWithoutShowingIt(t *testing.T) {
	t.Parallel()
	encoded := strings.TrimPrefix(signingKey, "whsk_")
	for name, text := range map[string]string{
		"nothing":              "",
		"no prefix":            encoded,
		"a secret":             "whsec_" + encoded,
		"a public key":         publicKey,
		"only the prefix":      "whsk_",
		"too short":            "whsk_" + encoded[:40],
		"between the lengths":  "whsk_" + encoded[:64],
		"too long":             "whsk_" + encoded[:64] + encoded,
		"not base64":           "whsk_" + strings.Repeat("a*", 32),
		"of two pairs":         "whsk_" + encoded[:60] + strings.Repeat("A", 26) + "==",
		"something after":      signingKey + " ",
		"broken off in a line": signingKey[:20] + "*" + signingKey[21:],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := signature.ParseSigningKey(text)
			require.ErrorIs(t, err, signature.ErrKey)
			require.True(t, key.IsZero())
			require.NotContains(t, err.Error(), encoded[:8])
		})
	}
}

func TestParseVerifyKey_ReadsWhatItPrints(t *testing.T) {
	t.Parallel()
	key, err := signature.ParseVerifyKey(publicKey)
	require.NoError(t, err)
	require.Equal(t, publicKey, key.String())
	require.Equal(t, publicKey, fmt.Sprintf("%v", key)) //nolint:gocritic // that is what is tested

	for _, text := range []string{
		"", "whpk_", signingKey, strings.TrimPrefix(publicKey, "whpk_"), publicKey + "=", strings.TrimRight(publicKey, "="),
		"whpk_" + strings.TrimPrefix(signingKey, "whsk_"),
	} {
		key, err := signature.ParseVerifyKey(text)
		require.ErrorIs(t, err, signature.ErrKey)
		require.True(t, key.IsZero())
	}
}

func TestNewSigningKey_IsAnotherOneEachTime(t *testing.T) {
	t.Parallel()
	one, other := signature.NewSigningKey(), signature.NewSigningKey()
	require.NotEqual(t, one.Public(), other.Public())
	back, err := signature.ParseSigningKey(one.Reveal())
	require.NoError(t, err)
	require.Equal(t, one.Public(), back.Public())
}

func TestSigningKey_TellsTheZeroValueApart(t *testing.T) {
	t.Parallel()
	var zero signature.SigningKey
	require.True(t, zero.IsZero())
	require.Empty(t, zero.Reveal())
	require.True(t, zero.Public().IsZero())
	require.Empty(t, zero.Public().String())
}

func TestSigningKey_DoesNotShowHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'k'}, 32))
	key, err := signature.ParseSigningKey("whsk_" + encoded)
	require.NoError(t, err)
	nested := struct {
		private signature.SigningKey
		List    []signature.SigningKey
		Signer  signature.Signer
	}{key, []signature.SigningKey{key}, key}
	requireHidden(t, "whsk_REDACTED", encoded, key, &key, nested, &nested)

	_, err = json.Marshal(map[string]any{"key": key})
	require.ErrorIs(t, err, signature.ErrHidden)
}
