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

func (v vector) secrets(t *testing.T) []signature.Secret {
	t.Helper()
	secrets := make([]signature.Secret, 0, len(v.Secrets))
	for _, text := range v.Secrets {
		secrets = append(secrets, mustParse(t, text))
	}
	return secrets
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
			secrets := v.secrets(t)
			require.Equal(t, v.Signature, signature.Sign(v.ID, v.at(), v.Body, secrets...))
			require.Equal(t, v.Signature, signature.Sign(v.ID, v.at().Add(999*time.Millisecond), v.Body, secrets...),
				"a time counts in whole seconds")
			require.NoError(t, signature.Verify(v.header(), v.Body, v.at(), 0, secrets...))
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
	require.Equal(t, signature.Sign("id", at, nil, secret), signature.Sign("id", at, nil, zero, secret))
}

func BenchmarkSign(b *testing.B) {
	secret, body, at := signature.NewSecret(), make([]byte, 1024), time.Unix(1893456000, 0)
	b.ReportAllocs()
	for b.Loop() {
		_ = signature.Sign("evt_1", at, body, secret)
	}
}
