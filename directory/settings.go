package directory

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// settingsTimeout bounds the telling of settings, which is not tried again: if it
// is lost, the endpoint hears of them from the workers, or asks after a while.
const settingsTimeout = 2 * time.Second

// tellSettings tells the execution of an endpoint, where it has one, what is
// configured for it by now. One that was deleted has no settings.
func (d *Directory) tellSettings(ctx context.Context, tenant, id string, version int64, e *postdate.Endpoint) {
	now := &postdate.Tenant{Version: version}
	if e != nil {
		now.Endpoints = []postdate.Endpoint{*e}
	}
	settings := activities.SettingsOf(now, id, d.config.MaxInFlight)
	// It is configured so, whether or not the caller is still there.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), settingsTimeout)
	defer stop()
	err := d.config.Temporal.SignalWorkflow(ctx, workflows.EndpointID(tenant, id), "", workflows.SignalSettings, settings)
	if _, none := errors.AsType[*serviceerror.NotFound](err); err == nil || none {
		return
	}
	d.config.Log.LogAttrs(ctx, slog.LevelWarn, "tell an endpoint its settings",
		slog.String("tenant", tenant), slog.String("endpoint", id), slog.String("error", err.Error()))
}
