package system

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Workers are "postdate worker" processes beside a "postdate dev".
type Workers struct {
	postdate  *Postdate
	processes []*rig.Process
	killed    time.Duration // CPU time of those that were killed
}

// NewWorkers returns none yet.
func NewWorkers(p *Postdate) *Workers { return &Workers{postdate: p} }

// Add starts n workers, with the keys that the process beside them made.
func (w *Workers) Add(ctx context.Context, n int) error {
	p := w.postdate
	env := slices.Concat(p.env, reachable, []string{"TEMPORAL_ADDRESS=127.0.0.1:" + p.ports.temporal})
	for name, file := range map[string]string{
		"POSTDATE_SIGNING_SECRET": "signing.secret", "POSTDATE_ENCRYPTION_KEYS": "encryption.keys",
	} {
		key, err := os.ReadFile(filepath.Join(p.data, file))
		if err != nil {
			return fmt.Errorf("read the keys of the process under test: %w", err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(key)))
	}
	for i := range n {
		ports, err := rig.FreePorts(ctx, 1)
		if err != nil {
			return err
		}
		address := "127.0.0.1:" + ports[0]
		worker, err := rig.StartProcess(ctx, fmt.Sprintf("worker %d", i+1), readyURL(address), env, p.binary, "worker", "--http", address)
		if err != nil {
			return err
		}
		w.processes = append(w.processes, worker)
	}
	return nil
}

// KillLast kills the last that was added, if there is any, without a chance to shut
// down in order.
func (w *Workers) KillLast() error {
	if len(w.processes) == 0 {
		return nil
	}
	last := w.processes[len(w.processes)-1]
	spent, err := last.CPUTime()
	if err != nil {
		return err
	}
	w.processes, w.killed = w.processes[:len(w.processes)-1], w.killed+spent
	return last.Kill()
}

// CPUTime is how long they and the processes beside them have run so far.
func (w *Workers) CPUTime() (time.Duration, error) {
	spent, err := rig.CPUTime(slices.Concat(w.postdate.Processes(), w.processes))
	return spent + w.killed, err
}

// Stop stops those that are left.
func (w *Workers) Stop() {
	for _, worker := range w.processes {
		worker.Stop()
	}
}
