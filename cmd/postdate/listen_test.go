package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/signature"
)

// listening starts "postdate listen", and answers where, and what it prints.
func listening(t *testing.T, environ []string, args ...string) (addr string, out *lockedBuffer) {
	t.Helper()
	addr = "127.0.0.1:" + freePort(t)
	out = runHere(t, environ, append([]string{"listen", "--addr", addr}, args...)...)
	eventually.True(t, func() bool { return strings.Contains(out.String(), "Listening on") })
	return addr, out
}

// send sends a message signed by signer, and answers the status.
func send(t *testing.T, addr string, signer signature.Signer) int {
	t.Helper()
	now, body := time.Now(), []byte(`{"type":"hello"}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set(signature.HeaderID, "msg_1")
	request.Header.Set(signature.HeaderTimestamp, fmt.Sprint(now.Unix()))
	request.Header.Set(signature.HeaderSignature, signature.Sign("msg_1", now, body, signer))
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	return response.StatusCode
}

func TestListen_SaysWhetherTheSignatureIsRight(t *testing.T) {
	t.Parallel()
	addr, out := listening(t, []string{"POSTDATE_SIGNING_SECRET=" + testSecret}, "--status", "202")
	secret, err := signature.ParseSecret(testSecret)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, send(t, addr, secret))
	require.Contains(t, out.String(), "msg_1  signature verified, answered 202")
	require.Equal(t, http.StatusUnauthorized, send(t, addr, signature.NewSecret()))
	require.Contains(t, out.String(), "NOT VERIFIED")
}

func TestListen_StandsForAnEndpoint(t *testing.T) {
	t.Parallel()
	secret, key := signature.NewSecret(), signature.NewSigningKey()
	for _, test := range []struct {
		shown  string
		signer signature.Signer
	}{{secret.Reveal(), secret}, {key.Public().String(), key}} {
		addr, _ := listening(t, []string{"POSTDATE_SIGNING_SECRET=" + testSecret}, "--secret", test.shown)
		require.Equal(t, http.StatusOK, send(t, addr, test.signer))
		require.Equal(t, http.StatusUnauthorized, send(t, addr, signature.NewSecret()))
	}
}
