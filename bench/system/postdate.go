package system

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Postdate is the program under test, and a client of its API.
type Postdate struct {
	*rig.Process // the first, and mostly the only one

	binary, data string
	database     string // PostgreSQL's; empty: SQLite in the data folder
	env          []string
	ports        postdatePorts
	beside       []*rig.Process // further processes of it
	apis         []string       // addresses of the API, of which each request takes one
	key          string
	tenant       string // that requests act for; empty: the default one
	http         *http.Client
}

type postdatePorts struct{ ui, temporal string }

// startDev starts "postdate dev". It keeps its keys in the rig's folder, also where
// its database is PostgreSQL's.
func startDev(ctx context.Context, c Config, r *rig.Rig, database string) (System, error) {
	ports, err := rig.FreePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	p := newPostdate(c)
	p.data, p.database = r.Dir, database
	p.apis, p.ports = []string{"127.0.0.1:" + ports[0]}, postdatePorts{ui: ports[1], temporal: ports[2]}
	if err := p.Start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// newPostdate is one that is not running yet.
func newPostdate(c Config) *Postdate {
	p := &Postdate{
		binary: c.Binary,
		key:    rand.Text(),
		http: &http.Client{
			Timeout:   time.Minute,
			Transport: &http.Transport{MaxIdleConnsPerHost: c.Clients, MaxConnsPerHost: 2 * c.Clients},
		},
	}
	// Nothing of the caller's own settings, so that a run is the same everywhere.
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "POSTDATE_") && !strings.HasPrefix(setting, "TEMPORAL_") {
			p.env = append(p.env, setting)
		}
	}
	// Who sends to a source shows no key that is not limited.
	p.env = append(append(p.env, "POSTDATE_ADMIN_KEY="+p.key, "POSTDATE_TENANT_RATE_LIMIT=0"), c.Env...)
	return p
}

// Start starts "postdate dev" on whatever its data folder holds, and returns when it
// is ready: again, after Process.Stop.
func (p *Postdate) Start(ctx context.Context) error {
	args := []string{
		"dev", "--allow-loopback", "all", "--data", p.data, "--http", p.apis[0], "--ui-port", p.ports.ui, "--temporal-port", p.ports.temporal,
	}
	if p.database != "" {
		args = append(args, "--db", p.database)
	}
	var err error
	p.Process, err = rig.StartProcess(ctx, "postdate", readyURL(p.apis[0]), p.env, p.binary, args...)
	return err
}

// readyURL is where the API at that address answers when it is ready.
func readyURL(address string) string { return "http://" + address + "/readyz" }

// Processes are all that belong to it.
func (p *Postdate) Processes() []*rig.Process { return append([]*rig.Process{p.Process}, p.beside...) }

// Stop stops the first process last: the others may need it.
func (p *Postdate) Stop() {
	for _, process := range p.beside {
		process.Stop()
	}
	p.Process.Stop()
}

// As returns p acting for another tenant than the default one.
func (p *Postdate) As(tenant string) *Postdate {
	other := *p
	other.tenant = tenant
	return &other
}
