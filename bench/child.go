package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// child is a process that we started, and end.
type child struct {
	name string
	pid  int
	log  logFile
	end  context.CancelFunc
	gone chan struct{} // closed when the process is gone
	how  error         // how it ended, once it is
	// stopping: that it ends is our wish.
	stopping atomic.Bool
}

// startChild starts a process that lives until ctx ends or stop is called.
func startChild(ctx context.Context, name string, env []string, path string, args ...string) (*child, error) {
	log, err := newLogFile()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	c := &child{name: name, log: log, end: end, gone: make(chan struct{})}
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // to run what one is told to is what --binary is for
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = log.File, log.File
	// A group of its own: Ctrl-C in the terminal is for us, and we tell it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		end()
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.pid = cmd.Process.Pid
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		c.how = fmt.Errorf("%s ended: %w; the end of its log:\n%s", name, err, c.log)
		_ = log.Close()
		close(c.gone)
	}()
	return c, nil
}

// startReady starts a process, and waits until url answers for it.
func startReady(ctx context.Context, name, url string, env []string, path string, args ...string) (*child, error) {
	c, err := startChild(ctx, name, env, path, args...)
	if err != nil {
		return nil, err
	}
	if err := c.ready(ctx, url); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// startSelf does so with the bench itself, called by another name: the first of args.
func startSelf(ctx context.Context, name, url string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the bench itself: %w", err)
	}
	return startReady(ctx, name, url, os.Environ(), self, args...)
}

// stop asks the child to end, and sees to it that it does.
func (c *child) stop() {
	c.stopping.Store(true)
	c.end()
	<-c.gone
}

// onCrash calls tell, with the child's own story, if it ends without being asked to.
func (c *child) onCrash(tell func(error)) {
	go func() {
		<-c.gone
		if !c.stopping.Load() {
			tell(c.how)
		}
	}()
}

// ready waits until url answers 200.
func (c *child) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.onCrash(cancel)
	limit := time.After(2 * time.Minute)
	for {
		if answers(ctx, url) {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return stopped(ctx)
		case <-limit:
			return fmt.Errorf("%s was not ready in time; the end of its log:\n%s", c.name, c.log)
		}
	}
}

func answers(ctx context.Context, url string) bool {
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

// quiet waits until the child hardly works any more, so that what it still had
// to do for the messages is counted, and none of it disturbs what comes next.
func (c *child) quiet(ctx context.Context) error {
	const window, idle = 200 * time.Millisecond, 30 * time.Millisecond
	limit := time.Now().Add(time.Minute)
	for calm := 0; calm < 2 && time.Now().Before(limit); {
		before, err := cpuTime(c.pid)
		if err != nil {
			return err
		}
		select {
		case <-time.After(window):
		case <-ctx.Done():
			return stopped(ctx)
		}
		after, err := cpuTime(c.pid)
		if err != nil {
			return err
		}
		calm++
		if after-before > idle {
			calm = 0
		}
	}
	return nil
}

// processes makes what embeds a child an entrant with one process.
func (c *child) processes() []*child { return []*child{c} }

// quiet waits until all of them are.
func quiet(ctx context.Context, processes []*child) error {
	for _, c := range processes {
		if err := c.quiet(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cpuTimes is how long all of them have run so far.
func cpuTimes(processes []*child) (time.Duration, error) {
	var sum time.Duration
	for _, c := range processes {
		spent, err := cpuTime(c.pid)
		if err != nil {
			return 0, err
		}
		sum += spent
	}
	return sum, nil
}

// peaks is the most memory that each held, together.
func peaks(processes []*child) (int64, error) {
	var sum int64
	for _, c := range processes {
		peak, err := memory(c.pid, rssPeak)
		if err != nil {
			return 0, err
		}
		sum += peak
	}
	return sum, nil
}

// logFile is where a child logs. A pipe would have us at work while it is measured.
type logFile struct{ *os.File }

// logEnd is how much of it is told, in bytes.
const logEnd = 8 << 10

func newLogFile() (logFile, error) {
	f, err := os.CreateTemp("", "postdate-bench-*.log")
	if err != nil {
		return logFile{}, fmt.Errorf("make a file for a log: %w", err)
	}
	return logFile{f}, os.Remove(f.Name()) //nolint:wrapcheck // it names the file. That goes once nobody has it open
}

func (f logFile) String() string {
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	end := make([]byte, min(info.Size(), logEnd))
	n, _ := f.ReadAt(end, info.Size()-int64(len(end))) // what cannot be read is not told
	return strings.TrimSpace(string(end[:n]))
}

// freePorts finds n ports of the loopback address that nobody listens on.
func freePorts(ctx context.Context, n int) ([]string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = listener.Close() }() // held until the last is found, so that they differ
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	if n == 1 {
		return []string{port}, nil
	}
	more, err := freePorts(ctx, n-1)
	return append(more, port), err
}
