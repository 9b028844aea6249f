package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postdate/postdate/internal/eventually"
)

// asBroker makes a child of the test binary a broker of that kind.
const asBroker = "POSTDATE_TEST_AS_BROKER"

// serveBroker is such a child: it serves until it is killed, or its parent is gone.
func serveBroker(kind, folder, port string) error {
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	if kind == "kafka" {
		_, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(number), kfake.SeedTopics(3, "in", "out"), kfake.DataDir(folder), kfake.SyncWrites())
	} else {
		var s *server.Server
		s, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: number, JetStream: true, StoreDir: folder, NoLog: true, NoSigs: true})
		if err == nil {
			s.Start()
		}
	}
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	return err
}

// killedBroker is a broker in a process of its own, on a folder that outlives it.
type killedBroker struct {
	t                  *testing.T
	kind, folder, port string
	cmd                *exec.Cmd
}

func newKilledBroker(t *testing.T, kind string) *killedBroker {
	t.Helper()
	b := &killedBroker{t: t, kind: kind, folder: t.TempDir(), port: freePort(t)}
	b.start()
	t.Cleanup(b.kill)
	return b
}

func (b *killedBroker) address() string { return "127.0.0.1:" + b.port }

// start starts it, and waits until it takes connections.
func (b *killedBroker) start() {
	b.t.Helper()
	b.cmd = exec.Command(os.Args[0], b.kind, b.folder, b.port)
	b.cmd.Env = append(os.Environ(), asBroker+"=1")
	log := &lockedBuffer{}
	b.cmd.Stdout, b.cmd.Stderr = log, log
	_, err := b.cmd.StdinPipe() // it ends with this process
	require.NoError(b.t, err)
	require.NoError(b.t, b.cmd.Start())
	eventually.True(b.t, func() bool {
		conn, err := net.DialTimeout("tcp", b.address(), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, fmt.Sprintf("the broker does not start: %s", log))
}

// kill kills it (-9).
func (b *killedBroker) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}
