package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is a child process that the bench started, and ends.
type Process struct {
	name     string
	pid      int
	log      logFile
	cancel   context.CancelFunc
	gone     chan struct{} // closed when the process has ended
	exit     error         // how it ended, set before gone is closed
	stopping atomic.Bool   // that it ends is no crash
}

// start starts a process that lives until ctx ends or Stop is called.
func start(ctx context.Context, name string, env []string, path string, args ...string) (*Process, error) {
	log, err := newLogFile()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &Process{name: name, log: log, cancel: cancel, gone: make(chan struct{})}
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // --binary names the program to run
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = log.File, log.File
	// A process group of its own: Ctrl-C in the terminal goes to the bench alone,
	// which then ends its children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.pid = cmd.Process.Pid
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		p.exit = fmt.Errorf("%s ended: %w; the end of its log:\n%s", name, err, p.log)
		_ = log.Close()
		close(p.gone)
	}()
	return p, nil
}

// StartProcess starts a process, and waits until a GET of url is answered 200.
func StartProcess(ctx context.Context, name, url string, env []string, path string, args ...string) (*Process, error) {
	p, err := start(ctx, name, env, path, args...)
	if err != nil {
		return nil, err
	}
	if err := p.waitReady(ctx, url); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// StartSelf does the same with the bench's own executable. The first of args is the
// command by which it knows what to be.
func StartSelf(ctx context.Context, name, url string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the bench's executable: %w", err)
	}
	return StartProcess(ctx, name, url, os.Environ(), self, args...)
}

// Stop asks the process to end, kills it if it does not, and returns when it is gone.
func (p *Process) Stop() {
	p.stopping.Store(true)
	p.cancel()
	<-p.gone
}

// Kill ends the process at once, without a chance to shut down in order.
func (p *Process) Kill() error {
	p.stopping.Store(true)
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.gone
	return nil
}

// OnCrash calls fail, with the end of the log, if the process ends without Stop or
// Kill.
func (p *Process) OnCrash(fail func(error)) {
	go func() {
		<-p.gone
		if !p.stopping.Load() {
			fail(p.exit)
		}
	}()
}

func (p *Process) waitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.OnCrash(cancel)
	for limit := time.Now().Add(2 * time.Minute); time.Now().Before(limit); {
		if isReady(ctx, url) {
			return nil
		}
		if err := Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s was not ready in time; the end of its log:\n%s", p.name, p.log)
}

func isReady(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// WaitQuiet returns when the process hardly works any more, so that what it still had
// to do for the messages is counted, and does not disturb what comes next. It returns
// after a minute in any case.
func (p *Process) WaitQuiet(ctx context.Context) error {
	const window, idle = 200 * time.Millisecond, 30 * time.Millisecond
	limit := time.Now().Add(time.Minute)
	for quiet := 0; quiet < 2 && time.Now().Before(limit); {
		before, err := p.CPUTime()
		if err != nil {
			return err
		}
		if err := Sleep(ctx, window); err != nil {
			return err
		}
		after, err := p.CPUTime()
		if err != nil {
			return err
		}
		quiet++
		if after-before > idle {
			quiet = 0
		}
	}
	return nil
}

// WaitQuiet returns when all processes are quiet.
func WaitQuiet(ctx context.Context, processes []*Process) error {
	for _, p := range processes {
		if err := p.WaitQuiet(ctx); err != nil {
			return err
		}
	}
	return nil
}
