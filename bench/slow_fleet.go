package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fleet is the process under test and the workers beside it.
type fleet struct {
	children []*child
	spent    time.Duration // by those that were killed
}

// addWorkers starts n workers on the engine of p, with the keys that it made.
func (f *fleet) addWorkers(ctx context.Context, p *postdate, n int) error {
	settings := append([]string(nil), p.env...)
	for name, file := range map[string]string{
		"POSTDATE_SIGNING_SECRET": "signing.secret", "POSTDATE_ENCRYPTION_KEYS": "encryption.keys",
	} {
		key, err := os.ReadFile(filepath.Join(p.data, file))
		if err != nil {
			return fmt.Errorf("read the keys of the process under test: %w", err)
		}
		settings = append(settings, name+"="+strings.TrimSpace(string(key)))
	}
	settings = append(settings, "TEMPORAL_ADDRESS=127.0.0.1:"+p.ports[2], "POSTDATE_ALLOW_HTTP=true", "POSTDATE_ALLOW_NETWORKS=127.0.0.0/8")
	for i := range n {
		ports, err := freePorts(ctx, 1)
		if err != nil {
			return err
		}
		at := url.URL{Scheme: "http", Host: "127.0.0.1:" + ports[0], Path: "/readyz"}
		worker, err := startReady(ctx, fmt.Sprintf("worker %d", i+1), at.String(), settings, p.binary, "worker", "--http", at.Host)
		if err != nil {
			return err
		}
		f.children = append(f.children, worker)
	}
	return nil
}

// killLast kills the youngest without a chance to say goodbye.
func (f *fleet) killLast() error {
	last := f.children[len(f.children)-1]
	spent, err := cpuTime(last.pid)
	if err != nil {
		return err
	}
	f.children, f.spent = f.children[:len(f.children)-1], f.spent+spent
	last.stopping.Store(true)
	if err := syscall.Kill(last.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", last.name, err)
	}
	<-last.gone
	return nil
}

// cpu is how long all of them have run so far.
func (f *fleet) cpu() (time.Duration, error) {
	sum := f.spent
	for _, c := range f.children {
		spent, err := cpuTime(c.pid)
		if err != nil {
			return 0, err
		}
		sum += spent
	}
	return sum, nil
}

// stopWorkers ends all but the first, which belongs to the stage.
func (f *fleet) stopWorkers() {
	for _, c := range f.children[1:] {
		c.stop()
	}
}
