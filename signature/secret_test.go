package signature_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/signature"
)

// secretOf is the text of a secret of that many bytes.
func secretOf(size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'k'}, size))
}

func mustParse(t *testing.T, text string) signature.Secret {
	t.Helper()
	secret, err := signature.ParseSecret(text)
	require.NoError(t, err)
	return secret
}

func TestParseSecret_TakesWhatTheSpecificationAllows(t *testing.T) {
	t.Parallel()
	for _, size := range []int{24, 25, 32, 64} {
		text := secretOf(size)
		require.Equal(t, text, mustParse(t, text).Reveal())
	}
}

func TestParseSecret_RefusesTheRestWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":           "",
		"no prefix":         strings.TrimPrefix(secretOf(32), "whsec_"),
		"another prefix":    "whsk_" + strings.TrimPrefix(secretOf(32), "whsec_"),
		"only the prefix":   "whsec_",
		"too short":         secretOf(23),
		"too long":          secretOf(65),
		"not base64":        "whsec_" + strings.Repeat("a*", 20),
		"url alphabet":      "whsec_" + strings.Repeat("-_", 16),
		"padding left out":  strings.TrimRight(secretOf(32), "="),
		"something after":   secretOf(32) + " x",
		"unused bits set":   "whsec_" + strings.Repeat("A", 42) + "B=",
		"prefix in capital": "WHSEC_" + strings.TrimPrefix(secretOf(32), "whsec_"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret, err := signature.ParseSecret(text)
			require.ErrorIs(t, err, signature.ErrSecret)
			require.True(t, secret.IsZero())
			if hidden := strings.TrimPrefix(text, "whsec_"); len(hidden) > 1 {
				require.NotContains(t, err.Error(), hidden)
			}
		})
	}
}

func TestNewSecret_IsAnotherOneEachTime(t *testing.T) {
	t.Parallel()
	one, other := signature.NewSecret(), signature.NewSecret()
	require.False(t, one.Equal(other))
	require.True(t, one.Equal(mustParse(t, one.Reveal())))
}

func TestSecret_EqualTellsTheZeroValueApart(t *testing.T) {
	t.Parallel()
	var zero signature.Secret
	require.True(t, zero.Equal(signature.Secret{}))
	require.False(t, zero.Equal(signature.NewSecret()))
	require.False(t, signature.NewSecret().Equal(zero))
	require.Empty(t, zero.Reveal())
}

func TestSecret_DoesNotShowHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	text := secretOf(32) // its bytes are all the letter k
	secret := mustParse(t, text)
	nested := struct {
		private signature.Secret
		List    []signature.Secret
		Named   map[string]signature.Secret
	}{secret, []signature.Secret{secret}, map[string]signature.Secret{"a": secret}}
	requireHidden(t, "whsec_REDACTED", strings.TrimPrefix(text, "whsec_"), secret, &secret, nested, &nested)
}

// requireHidden holds that values show redacted, and nothing of a secret whose
// bytes are all the letter k and whose base64 is encoded.
func requireHidden(t *testing.T, redacted, encoded string, values ...any) {
	t.Helper()
	var out strings.Builder
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t", "%p"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("secret", "secret", value)
		}
	}
	for _, form := range []string{
		"kkkk", "KKKK", "107 107", "6b6b6b", "6B6B6B", "0x6b, 0x6b", "153 153", encoded[:8],
	} {
		require.NotContains(t, out.String(), form)
	}
	require.Contains(t, out.String(), redacted)
}

func TestSecret_IsNotMarshalledByAccident(t *testing.T) {
	t.Parallel()
	_, err := json.Marshal(map[string]any{"secret": signature.NewSecret()})
	require.ErrorIs(t, err, signature.ErrHidden)
}

func TestSecret_UnmarshalsFromConfiguration(t *testing.T) {
	t.Parallel()
	var secret signature.Secret
	require.NoError(t, secret.UnmarshalText([]byte(secretOf(32)+"\n")))
	require.Equal(t, secretOf(32), secret.Reveal())
	require.ErrorIs(t, secret.UnmarshalText([]byte("whsec_")), signature.ErrSecret)
	require.True(t, secret.IsZero())
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}
