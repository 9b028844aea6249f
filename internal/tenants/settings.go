package tenants

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// settingsTimeout bounds the signal with an endpoint's settings, which is not repeated:
// the endpoint also gets its settings with the workers' lease requests.
const settingsTimeout = 2 * time.Second

// signalSettings signals its settings to the execution of an endpoint, where it has one.
// An endpoint that was deleted has none.
func (s *Store) signalSettings(ctx context.Context, tenant, id string, version int64, e *postdate.Endpoint) {
	configured := &postdate.Tenant{Version: version}
	if e != nil {
		configured.Endpoints = []postdate.Endpoint{*e}
	}
	settings := protocol.SettingsOf(configured, id, s.config.MaxInFlight)
	// The change is made, whether or not the caller is still there.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), settingsTimeout)
	defer stop()
	err := s.config.Temporal.SignalWorkflow(ctx, protocol.EndpointID(tenant, id), "", protocol.SignalSettings, settings)
	if _, none := errors.AsType[*serviceerror.NotFound](err); err == nil || none {
		return
	}
	s.config.Log.LogAttrs(ctx, slog.LevelWarn, "failed to signal an endpoint's settings",
		slog.String("tenant", tenant), slog.String("endpoint", id), slog.String("error", err.Error()))
}
