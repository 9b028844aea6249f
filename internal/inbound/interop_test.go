//go:build integration

package inbound_test

import (
	"encoding/json"
	"net/url"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/inbound"
)

// signedByOthers is a request that a package of npm has signed.
type signedByOthers struct {
	Name, Preset, Secret, Body, URL string
	Headers                         map[string]string
}

func (s signedByOthers) request(t *testing.T) *inbound.Request {
	t.Helper()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	r := request(s.Body)
	for name, value := range s.Headers {
		r.Header.Set(name, value)
	}
	r.RawQuery, r.URLs = u.RawQuery, inbound.URLs(u.Host, u.RequestURI())
	return r
}

// The packages of testdata/interop must have been installed there: scripts/test-integration
// does.
func TestInterop_WhatPackagesOfNPMSignIsTaken(t *testing.T) {
	t.Parallel()
	node := exec.CommandContext(t.Context(), "node", "sign.mjs")
	node.Dir = "testdata/interop"
	out, err := node.Output()
	require.NoError(t, err, "Node.js and its packages are needed: %v", err)
	var requests []signedByOthers
	require.NoError(t, json.Unmarshal(out, &requests))
	require.Len(t, requests, 8)
	for _, signed := range requests {
		t.Run(signed.Name, func(t *testing.T) {
			t.Parallel()
			v := postdate.Verification{Preset: signed.Preset, Secrets: []postdate.Secret{postdate.Secret(signed.Secret)}}
			require.NoError(t, inbound.Verify(v, signed.request(t), time.Now()))

			changed := signed
			changed.Body += "&x=1"
			require.Error(t, inbound.Verify(v, changed.request(t), time.Now()), "another body")
			if signed.Preset == "twilio" {
				elsewhere := signed
				elsewhere.URL += "&x=1"
				require.Error(t, inbound.Verify(v, elsewhere.request(t), time.Now()), "another url")
			}
			for header := range signed.Headers {
				without := signed.request(t)
				without.Header.Del(header)
				if header != "content-type" {
					require.Error(t, inbound.Verify(v, without, time.Now()), header)
				}
			}
			v.Secrets = []postdate.Secret{"whsec_c29tZSBvdGhlciBzZWNyZXQgYWx0b2dldGhlcg=="}
			require.Error(t, inbound.Verify(v, signed.request(t), time.Now()), "another secret")
		})
	}
}
