package activities

import (
	"context"

	"github.com/postdate/postdate/protocol"
)

// EndpointSettings reads the settings of an endpoint as they are now.
func (a *Activities) EndpointSettings(ctx context.Context, of protocol.EndpointRef) (protocol.EndpointSettings, error) {
	tenant, err := a.Tenants.Fresh(ctx, of.Tenant)
	if err != nil {
		return protocol.EndpointSettings{}, err
	}
	return protocol.SettingsOf(tenant, of.Endpoint, a.MaxInFlight), nil
}
