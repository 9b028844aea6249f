package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is Postdate, or the batch job.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// start starts a program whose output goes to the end of a file.
func start(logFile string, env []string, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what is wrong
	}
	defer func() { _ = log.Close() }()                                            // the program has it
	p := &process{cmd: exec.Command(program, args...), done: make(chan struct{})} //nolint:gosec,noctx // --binary names it; kill ends it
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = log, log, append(os.Environ(), env...)
	// Its own group: Ctrl-C in a terminal goes to the demo alone, which ends its children.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop asks it to end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.kill()
	}
}

// postdate is a Postdate with everything in one process, and data of its own.
type postdate struct {
	binary, folder string
	http, temporal int
	env            []string // beside the demo's own
	process        *process
}

func newPostdate(binary, folder string) (*postdate, error) {
	p := &postdate{binary: binary, folder: folder}
	for _, port := range []*int{&p.http, &p.temporal} {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
		if err != nil {
			return nil, err //nolint:wrapcheck // it says what is wrong
		}
		*port = listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
		if err := listener.Close(); err != nil {
			return nil, err //nolint:wrapcheck // it says what is wrong
		}
	}
	return p, nil
}

func (p *postdate) url() string { return fmt.Sprintf("http://127.0.0.1:%d", p.http) }

// start starts it, and waits until it is ready.
func (p *postdate) start(ctx context.Context) (err error) {
	log := filepath.Join(p.folder, "postdate.log")
	p.process, err = start(log, p.env, p.binary, "dev", "--data", p.folder, "--http", strings.TrimPrefix(p.url(), "http://"),
		"--ui-port", "0", "--temporal-port", strconv.Itoa(p.temporal))
	if err != nil {
		return err
	}
	return until(ctx, time.Minute, "Postdate is not ready: see "+log, func() bool {
		select {
		case <-p.process.done:
			return false
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url()+"/readyz", http.NoBody)
		if err != nil {
			return false
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// key is the one that it has made.
func (p *postdate) key() (string, error) {
	key, err := os.ReadFile(filepath.Join(p.folder, "admin.key"))
	return strings.TrimSpace(string(key)), err
}

// until waits for a condition.
func until(ctx context.Context, patience time.Duration, otherwise string, condition func() bool) error {
	for limit := time.Now().Add(patience); !condition(); {
		if time.Now().After(limit) {
			return fmt.Errorf("%s (after %s)", otherwise, patience)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
