package signature_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/signature"
)

// vector is a message and its signature, as another implementation computed it.
type vector struct {
	Name      string   `json:"name"`
	ID        string   `json:"id"`
	Timestamp int64    `json:"timestamp"`
	Body      []byte   `json:"body"`
	Secrets   []string `json:"secrets"`
	Signature string   `json:"signature"`
}

func (v vector) at() time.Time { return time.Unix(v.Timestamp, 0) }

func (v vector) signers(t *testing.T) []signature.Signer {
	t.Helper()
	signers := make([]signature.Signer, 0, len(v.Secrets))
	for _, text := range v.Secrets {
		signer, err := signature.ParseSigner(text)
		require.NoError(t, err)
		signers = append(signers, signer)
	}
	return signers
}

// verifier is what verifies the signatures of a signer.
func verifier(signer signature.Signer) signature.Verifier {
	if key, ok := signer.(signature.SigningKey); ok {
		return key.Public()
	}
	return signer.(signature.Secret)
}

func (v vector) header() http.Header { return header(v.ID, v.Timestamp, v.Signature) }

func header(id string, timestamp int64, signatures string) http.Header {
	h := http.Header{}
	h.Set(signature.HeaderID, id)
	h.Set(signature.HeaderTimestamp, strconv.FormatInt(timestamp, 10))
	h.Set(signature.HeaderSignature, signatures)
	return h
}

func vectors(t *testing.T) []vector {
	t.Helper()
	var all []vector
	read(t, "testdata/vectors.json", &all)
	require.NotEmpty(t, all)
	return all
}

func TestSign_GivesTheGoldenSignatures(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			signers := v.signers(t)
			require.Equal(t, v.Signature, signature.Sign(v.ID, v.at(), v.Body, signers...))
			require.Equal(t, v.Signature, signature.Sign(v.ID, v.at().Add(999*time.Millisecond), v.Body, signers...),
				"a time counts in whole seconds")
			for _, signer := range signers {
				require.NoError(t, signature.Verify(v.header(), v.Body, v.at(), 0, verifier(signer)))
			}
		})
	}
}

func TestSign_WithoutASecretSignsNothing(t *testing.T) {
	t.Parallel()
	var zero signature.Secret
	secret := signature.NewSecret()
	at := time.Unix(1, 0)
	require.Empty(t, signature.Sign("id", at, nil))
	require.Empty(t, signature.Sign("id", at, nil, zero), "anybody could make a signature with an empty key")
	require.Equal(t, signature.Sign("id", at, nil, secret), signature.Sign("id", at, nil, zero, signature.SigningKey{}, secret))
}

func TestParseSigner_TellsSecretsFromKeysByTheirPrefix(t *testing.T) {
	t.Parallel()
	secret, key := signature.NewSecret(), signature.NewSigningKey()
	for text, want := range map[string]signature.Signer{secret.Reveal(): secret, key.Reveal(): key} {
		signer, err := signature.ParseSigner(text)
		require.NoError(t, err)
		require.IsType(t, want, signer)
		require.Equal(t, signature.Sign("id", time.Unix(1, 0), nil, want), signature.Sign("id", time.Unix(1, 0), nil, signer))
	}
	for text, want := range map[string]error{
		"": signature.ErrSecret, "whsec_": signature.ErrSecret, "whsk_": signature.ErrKey, key.Public().String(): signature.ErrSecret,
	} {
		_, err := signature.ParseSigner(text)
		require.ErrorIs(t, err, want, text)
	}
}

func BenchmarkSign(b *testing.B) {
	body, at := make([]byte, 1024), time.Unix(1893456000, 0)
	for name, signer := range map[string]signature.Signer{"v1": signature.NewSecret(), "v1a": signature.NewSigningKey()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = signature.Sign("evt_1", at, body, signer)
			}
		})
	}
}

// BenchmarkParseSigner is what a sender pays for each message that it signs.
func BenchmarkParseSigner(b *testing.B) {
	for name, text := range map[string]string{"v1": signature.NewSecret().Reveal(), "v1a": signature.NewSigningKey().Reveal()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = signature.ParseSigner(text)
			}
		})
	}
}
