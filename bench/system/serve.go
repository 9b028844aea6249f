package system

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/signature"
)

// reachable are the settings by which a "postdate serve" or "postdate worker" may
// send to receivers on this machine.
var reachable = []string{"POSTDATE_ALLOW_HTTP=true", "POSTDATE_ALLOW_NETWORKS=127.0.0.0/8"}

// startServe is for n times "postdate serve" beside one Temporal. Each request goes to
// any of them.
func startServe(n int) starter {
	return func(ctx context.Context, c Config, _ *rig.Rig, database string) (System, error) {
		ports, err := rig.FreePorts(ctx, n+2)
		if err != nil {
			return nil, err
		}
		p := newPostdate(c)
		p.ports.temporal = ports[0]
		p.Process, err = rig.StartSelf(ctx, "the engine", "http://127.0.0.1:"+ports[1]+"/", engineCommand,
			"--postgres", database, "--temporal", ports[0], "--http", ports[1])
		if err != nil {
			return nil, err
		}
		p.env = append(append(p.env, "TEMPORAL_ADDRESS=127.0.0.1:"+ports[0],
			"POSTDATE_SIGNING_SECRET="+signature.NewSecret().Reveal(), "POSTDATE_ENCRYPTION_KEYS="+newEncryptionKey()), reachable...)
		for i, port := range ports[2:] {
			if err := p.addServe(ctx, i+1, "127.0.0.1:"+port); err != nil {
				p.Stop()
				return nil, err
			}
		}
		return p, nil
	}
}

// addServe starts one more process whose API is at address.
func (p *Postdate) addServe(ctx context.Context, n int, address string) error {
	serve, err := rig.StartProcess(ctx, fmt.Sprintf("postdate serve %d", n), readyURL(address), p.env, p.binary, "serve", "--http", address)
	if err != nil {
		return err
	}
	p.beside, p.apis = append(p.beside, serve), append(p.apis, address)
	return nil
}

// newEncryptionKey makes one in the form of POSTDATE_ENCRYPTION_KEYS.
func newEncryptionKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "bench:" + base64.StdEncoding.EncodeToString(key)
}
