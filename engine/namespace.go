package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	persistenceclient "go.temporal.io/server/common/persistence/client"
	"go.temporal.io/server/common/persistence/serialization"
	"go.temporal.io/server/common/resolver"
	"go.temporal.io/server/common/searchattribute/sadefs"
	"go.temporal.io/server/common/telemetry"
	schemasqlite "go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ensureNamespace creates or changes the namespace to match c, and returns its
// search attributes by their visibility columns. It writes to the database before the server starts:
// the server would take seconds to notice a change through its API.
func ensureNamespace(ctx context.Context, c Config, s *store) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	metadata, closeMetadata, err := openMetadata(s)
	if err != nil {
		return nil, err
	}
	defer closeMetadata()

	found, err := metadata.GetNamespace(ctx, &persistence.GetNamespaceRequest{Name: c.Namespace})
	if _, absent := errors.AsType[*serviceerror.NamespaceNotFound](err); absent {
		return createNamespace(ctx, c, metadata)
	}
	if err != nil {
		return nil, err
	}
	ns := found.Namespace.GetConfig()
	aliases, err := addAliases(ns.GetCustomSearchAttributeAliases(), c.SearchAttributes)
	if err != nil {
		return nil, err
	}
	if ns.GetRetention().AsDuration() == c.Retention && maps.Equal(aliases, ns.GetCustomSearchAttributeAliases()) {
		return aliases, nil
	}
	ns.Retention, ns.CustomSearchAttributeAliases = durationpb.New(c.Retention), aliases
	version, err := metadata.GetMetadata(ctx)
	if err != nil {
		return nil, err
	}
	return aliases, metadata.UpdateNamespace(ctx, &persistence.UpdateNamespaceRequest{
		Namespace:           found.Namespace,
		IsGlobalNamespace:   found.IsGlobalNamespace,
		NotificationVersion: version.NotificationVersion,
	})
}

func createNamespace(ctx context.Context, c Config, metadata persistence.MetadataManager) (map[string]string, error) {
	aliases, err := addAliases(nil, c.SearchAttributes)
	if err != nil {
		return nil, err
	}
	ns, err := schemasqlite.NewNamespaceConfig(clusterName, c.Namespace, false, nil)
	if err != nil {
		return nil, err
	}
	ns.Detail.Config.Retention = durationpb.New(c.Retention)
	ns.Detail.Config.CustomSearchAttributeAliases = aliases
	_, err = metadata.CreateNamespace(ctx, &persistence.CreateNamespaceRequest{Namespace: ns.Detail})
	return aliases, err
}

func openMetadata(s *store) (persistence.MetadataManager, func(), error) {
	p := persistenceConfig(s)
	serializer := serialization.NewSerializer()
	factory := persistenceclient.FactoryProvider(persistenceclient.NewFactoryParams{
		DataStoreFactory: persistenceclient.DataStoreFactoryProvider(clusterName, resolver.NewNoopResolver(), &p, nil,
			log.NewNoopLogger(), metrics.NoopMetricsHandler, telemetry.NoopTracerProvider, serializer),
		Cfg:            &p,
		ClusterName:    clusterName,
		MetricsHandler: metrics.NoopMetricsHandler,
		Logger:         log.NewNoopLogger(),
		Serializer:     serializer,
	})
	metadata, err := factory.NewMetadataManager()
	if err != nil {
		factory.Close()
		return nil, nil, err
	}
	return metadata, func() { metadata.Close(); factory.Close() }, nil
}

// addAliases gives each attribute that has no column yet one of its type.
// SQL visibility has a fixed set of columns; an alias is an attribute's name.
func addAliases(have map[string]string, want map[string]enumspb.IndexedValueType) (map[string]string, error) {
	types := sadefs.GetDBIndexSearchAttributes(nil).GetCustomSearchAttributes()
	free := slices.Sorted(maps.Keys(types))
	free = slices.DeleteFunc(free, func(column string) bool { return have[column] != "" })
	aliases := maps.Clone(have)
	if aliases == nil {
		aliases = map[string]string{}
	}
	names := slices.Collect(maps.Values(have))
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if slices.Contains(names, name) {
			continue
		}
		i := slices.IndexFunc(free, func(column string) bool { return types[column] == want[name] })
		if i < 0 {
			return nil, fmt.Errorf("no room for search attribute %s: all of type %s are taken", name, want[name])
		}
		aliases[free[i]] = name
		free = slices.Delete(free, i, i+1)
	}
	return aliases, nil
}
