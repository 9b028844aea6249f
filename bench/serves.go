package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"

	"github.com/postdate/postdate/signature"
)

// serves is how many "postdate serve" there are.
type serves int

// start starts them beside one engine in database. Each request goes to any of them.
func (n serves) start(ctx context.Context, s *stage, database string) (*postdate, error) {
	ports, err := freePorts(ctx, int(n)+2)
	if err != nil {
		return nil, err
	}
	p := newPostdate(s.options)
	p.ports = []string{"", "", ports[0]}
	p.child, err = startSelf(ctx, "the engine", "http://127.0.0.1:"+ports[1]+"/", engineCommand,
		"--postgres", database, "--temporal", ports[0], "--http", ports[1])
	if err != nil {
		return nil, err
	}
	p.env = append(p.env, "TEMPORAL_ADDRESS=127.0.0.1:"+ports[0], "POSTDATE_ALLOW_HTTP=true", "POSTDATE_ALLOW_NETWORKS=127.0.0.0/8",
		"POSTDATE_SIGNING_SECRET="+signature.NewSecret().Reveal(), "POSTDATE_ENCRYPTION_KEYS="+newEncryptionKey())
	for i, port := range ports[2:] {
		if err := p.addServe(ctx, i+1, "127.0.0.1:"+port); err != nil {
			p.stop()
			return nil, err
		}
	}
	return p, nil
}

// addServe starts one more process whose API is at address.
func (p *postdate) addServe(ctx context.Context, n int, address string) error {
	at := url.URL{Scheme: "http", Host: address, Path: "/readyz"}
	serve, err := startReady(ctx, fmt.Sprintf("postdate serve %d", n), at.String(), p.env, p.binary, "serve", "--http", address)
	if err != nil {
		return err
	}
	p.beside, p.apis = append(p.beside, serve), append(p.apis, address)
	return nil
}

// newEncryptionKey is one as POSTDATE_ENCRYPTION_KEYS takes it.
func newEncryptionKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "bench:" + base64.StdEncoding.EncodeToString(key)
}
