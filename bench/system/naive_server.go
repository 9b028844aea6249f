package system

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"

	"github.com/postdate/postdate/bench/rig"
)

// serveNaive is the naive program: a Temporal server with nothing changed, and a
// worker beside it. On --http it answers as soon as both run.
func serveNaive(ctx context.Context, args []string, stderr io.Writer) error {
	flags := newCommandFlags(naiveCommand, stderr)
	file := flags.String("db", "", "SQLite file")
	port := flags.Int("temporal", 0, "port of the Temporal server")
	wal := flags.Bool("wal", false, "journal_mode=WAL")
	if err := flags.parse(args); err != nil {
		return err
	}
	stores, err := naiveStores(ctx, *file, flags.postgres, *wal)
	if err != nil {
		return err
	}
	server, err := newNaiveServer(ctx, stores, *port)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start the naive server: %w", err)
	}
	defer func() { _ = server.Stop() }()
	c, err := client.DialContext(ctx, client.Options{HostPort: net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)), Logger: silent{}})
	if err != nil {
		return fmt.Errorf("dial the naive server: %w", err)
	}
	defer c.Close()
	if flags.postgres != "" {
		if err := registerNamespace(ctx, c); err != nil {
			return err
		}
	}
	w, err := startNaiveWorker(c)
	if err != nil {
		return err
	}
	defer w.Stop()
	return serveReady(ctx, flags.httpPort)
}

// naiveCluster is the name of the cluster that a development server is.
const naiveCluster = "active"

// newNaiveServer is a Temporal server as its own development server would be:
// every dynamic setting at its default (4 task-queue partitions among them).
func newNaiveServer(ctx context.Context, stores config.Persistence, port int) (temporal.Server, error) {
	const current = naiveCluster
	services, hosts, err := naiveServices(ctx, port)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	conf := &config.Config{
		Services:     services,
		PublicClient: config.PublicClient{HostPort: address},
		Persistence:  stores,
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: current, CurrentClusterName: current,
			ClusterInformation: map[string]cluster.ClusterInformation{
				current: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
	}
	conf.Global.Membership.MaxJoinDuration = 30 * time.Second
	conf.Archival.History.State, conf.Archival.Visibility.State = "disabled", "disabled"
	conf.NamespaceDefaults.Archival.History.State, conf.NamespaceDefaults.Archival.Visibility.State = "disabled", "disabled"
	server, err := temporal.NewServer(
		temporal.WithConfig(conf),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(log.NewNoopLogger()),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
	)
	if err != nil {
		return nil, fmt.Errorf("make the naive server: %w", err)
	}
	return server, nil
}

// naiveServices places the four services of a Temporal server on the loopback address.
func naiveServices(ctx context.Context, frontend int) (map[string]config.Service, map[primitives.ServiceName]static.Hosts, error) {
	services := make(map[string]config.Service)
	hosts := make(map[primitives.ServiceName]static.Hosts)
	ports, err := rig.FreePorts(ctx, 3)
	if err != nil {
		return nil, nil, err
	}
	ports = append(ports, strconv.Itoa(frontend))
	for i, name := range []primitives.ServiceName{
		primitives.HistoryService, primitives.MatchingService, primitives.WorkerService, primitives.FrontendService,
	} {
		port, err := strconv.Atoi(ports[i])
		if err != nil {
			return nil, nil, fmt.Errorf("place the naive services: %w", err)
		}
		services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: "127.0.0.1"}}
		hosts[name] = static.SingleLocalHost(net.JoinHostPort("127.0.0.1", ports[i]))
	}
	return services, hosts, nil
}
