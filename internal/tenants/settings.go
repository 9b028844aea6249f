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

// settingsTimeout bounds the telling of settings, which is not tried again: if it
// is lost, the endpoint hears of them from the workers, or asks after a while.
const settingsTimeout = 2 * time.Second

// signalSettings tells the execution of an endpoint, where it has one, what is
// configured for it by now. One that was deleted has no settings.
func (s *Store) signalSettings(ctx context.Context, tenant, id string, version int64, e *postdate.Endpoint) {
	now := &postdate.Tenant{Version: version}
	if e != nil {
		now.Endpoints = []postdate.Endpoint{*e}
	}
	settings := protocol.SettingsOf(now, id, s.config.MaxInFlight)
	// It is configured so, whether or not the caller is still there.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), settingsTimeout)
	defer stop()
	err := s.config.Temporal.SignalWorkflow(ctx, protocol.EndpointID(tenant, id), "", protocol.SignalSettings, settings)
	if _, none := errors.AsType[*serviceerror.NotFound](err); err == nil || none {
		return
	}
	s.config.Log.LogAttrs(ctx, slog.LevelWarn, "tell an endpoint its settings",
		slog.String("tenant", tenant), slog.String("endpoint", id), slog.String("error", err.Error()))
}
