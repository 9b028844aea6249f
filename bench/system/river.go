package system

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// river is the program of bench/river, a queue of scheduled jobs.
type river struct {
	solo
	rowPublisher
}

func startRiver(ctx context.Context, c Config, _ *rig.Rig, database string) (System, error) {
	if _, err := os.Stat(c.River); err != nil {
		return nil, fmt.Errorf("find the River program: %w; make bench-integration builds it", err)
	}
	ports, err := rig.FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	r := &river{rowPublisher: rowPublisher{
		url: "http://" + net.JoinHostPort("127.0.0.1", ports[0]) + "/", http: keepingConnections(time.Minute, c.Clients),
	}}
	r.Process, err = rig.StartProcess(ctx, "River", r.url, os.Environ(), c.River, "--db", database, "--http", ports[0])
	return r, err
}
