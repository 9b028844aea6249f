package system

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql" // the plugins that the configurations name
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/tools/common/schema"
	toolsql "go.temporal.io/server/tools/sql"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postdate/postdate/bench/rig"
)

// naiveStores are the databases of the naive server, with their schema: database
// or, where that is "", the SQLite file.
func naiveStores(ctx context.Context, file, database string, wal bool) (config.Persistence, error) {
	if database != "" {
		return naivePostgres(ctx, database)
	}
	return naiveSQLite(file, wal)
}

// naiveSQLite is one file opened without pragmas, and one shard.
func naiveSQLite(file string, wal bool) (config.Persistence, error) {
	const store = "sqlite"
	sql := &config.SQL{PluginName: "sqlite", DatabaseName: file, ConnectAttributes: map[string]string{"mode": "rwc"}}
	if wal {
		sql.ConnectAttributes["journal_mode"] = "WAL"
	}
	namespace, err := sqlite.NewNamespaceConfig(naiveCluster, client.DefaultNamespace, false, nil)
	if err != nil {
		return config.Persistence{}, fmt.Errorf("describe the naive namespace: %w", err)
	}
	if err := sqlite.SetupSchema(sql); err != nil {
		return config.Persistence{}, fmt.Errorf("make the naive schema: %w", err)
	}
	if err := sqlite.CreateNamespaces(sql, namespace); err != nil {
		return config.Persistence{}, fmt.Errorf("make the naive namespace: %w", err)
	}
	return config.Persistence{
		DefaultStore: store, VisibilityStore: store, NumHistoryShards: 1,
		DataStores: map[string]config.DataStore{store: {SQL: sql}},
	}, nil
}

// naivePostgres is as in Temporal's config/development-postgres12.yaml: a
// second database for visibility, four shards, 20 connections and 2.
func naivePostgres(ctx context.Context, database string) (config.Persistence, error) {
	const main, visibility = "main", "visibility"
	stores := config.Persistence{
		DefaultStore: main, VisibilityStore: visibility, NumHistoryShards: 4,
		DataStores: make(map[string]config.DataStore),
	}
	second, err := createVisibility(ctx, database)
	if err != nil {
		return stores, err
	}
	for _, store := range []struct {
		name, url, schema string
		connections       int
	}{
		{main, database, "postgresql/v12/temporal", 20},
		{visibility, second, "postgresql/v12/visibility", 2},
	} {
		sql, err := naiveSQL(store.url, store.connections)
		if err != nil {
			return stores, err
		}
		if err := makeSchema(sql, store.schema); err != nil {
			return stores, fmt.Errorf("make the naive schema: %w", err)
		}
		stores.DataStores[store.name] = config.DataStore{SQL: sql}
	}
	return stores, nil
}

// createVisibility makes the second database, and returns its URL.
func createVisibility(ctx context.Context, database string) (string, error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", errors.New("the naive program's database is not a URL")
	}
	name := rig.VisibilityName(strings.TrimPrefix(u.Path, "/"))
	if err := rig.Execute(ctx, database, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return rig.DatabaseURL(database, name)
}

func naiveSQL(database string, connections int) (*config.SQL, error) {
	u, err := url.Parse(database)
	if err != nil {
		return nil, errors.New("the naive program's database is not a URL")
	}
	password, _ := u.User.Password()
	sql := &config.SQL{
		PluginName: "postgres12", DatabaseName: strings.TrimPrefix(u.Path, "/"), ConnectAddr: u.Host, ConnectProtocol: "tcp",
		User: u.User.Username(), Password: password, MaxConns: connections, MaxIdleConns: connections, MaxConnLifetime: time.Hour,
		ConnectAttributes: make(map[string]string),
	}
	for name, values := range u.Query() {
		sql.ConnectAttributes[name] = values[0]
	}
	return sql, nil
}

// makeSchema brings an empty database to this server's version.
func makeSchema(c *config.SQL, name string) error {
	conn, err := toolsql.NewConnection(c, log.NewNoopLogger())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	if err := schema.NewSetupSchemaTask(conn, &schema.SetupConfig{InitialVersion: "0.0"}, log.NewNoopLogger()).Run(); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	if err := schema.NewUpdateSchemaTask(conn, &schema.UpdateConfig{SchemaName: name}, log.NewNoopLogger()).Run(); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	return nil
}

// registerNamespace registers the namespace, and waits until the server can use it.
func registerNamespace(ctx context.Context, c client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: client.DefaultNamespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	if _, exists := errors.AsType[*serviceerror.NamespaceAlreadyExists](err); err != nil && !exists {
		return fmt.Errorf("register the naive namespace: %w", err)
	}
	for {
		_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: client.DefaultNamespace})
		if err == nil {
			return nil
		}
		if sleepErr := rig.Sleep(ctx, 200*time.Millisecond); sleepErr != nil {
			return fmt.Errorf("wait for the naive namespace: %w", errors.Join(sleepErr, err))
		}
	}
}
