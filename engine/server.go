package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"go.uber.org/dig"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// clusterName is stored with the data and can never change.
const clusterName = "active"

func persistenceConfig(s *store) config.Persistence {
	return config.Persistence{
		DefaultStore:     "main",
		VisibilityStore:  "visibility",
		NumHistoryShards: s.shards,
		DataStores: map[string]config.DataStore{
			"main":       {SQL: s.main},
			"visibility": {SQL: s.visibility},
		},
	}
}

func serverConfig(c Config, s *store, p ports) *config.Config {
	internal := func(port int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: loopback}}
	}
	frontend := address(c.dialHost(), p.frontend)
	return &config.Config{
		Persistence: persistenceConfig(s),
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			string(primitives.FrontendService): {RPC: config.RPC{GRPCPort: p.frontend, BindOnIP: c.Host}},
			string(primitives.HistoryService):  internal(p.history),
			string(primitives.MatchingService): internal(p.matching),
			string(primitives.WorkerService):   internal(p.worker),
		},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: frontend},
	}
}

// build assembles the server. Building opens its listeners and databases, and
// what goes wrong there arrives as an error, or as a call of Fatal.
func build(c Config, s *store, p ports, l *logger) (srv temporal.Server, err error) {
	l.state.building.Store(true)
	defer l.state.building.Store(false)
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(fatal)
			if !ok {
				panic(r)
			}
			err = errors.New(string(f))
		}
	}()
	srv, err = temporal.NewServer(
		temporal.WithConfig(serverConfig(c, s, p)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(map[primitives.ServiceName]static.Hosts{
			primitives.FrontendService: static.SingleLocalHost(address(c.dialHost(), p.frontend)),
			primitives.HistoryService:  static.SingleLocalHost(address(loopback, p.history)),
			primitives.MatchingService: static.SingleLocalHost(address(loopback, p.matching)),
			primitives.WorkerService:   static.SingleLocalHost(address(loopback, p.worker)),
		}),
		temporal.WithLogger(l),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
		temporal.WithDynamicConfigClient(dynamicConfig(s)),
	)
	if err != nil {
		return nil, fmt.Errorf("temporal: %s", oneLine(dig.RootCause(err)))
	}
	return srv, nil
}

// awaitReady returns once the namespace can be used.
func awaitReady(ctx context.Context, addr, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return err
	}
	defer conn.Close()

	health := grpc_health_v1.NewHealthClient(conn)
	frontend := workflowservice.NewWorkflowServiceClient(conn)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{
			Service: workflowservice.WorkflowService_ServiceDesc.ServiceName,
		})
		if err == nil && status.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			_, err = frontend.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
			if err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("temporal did not get ready: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}
