package protocol

import "github.com/postdate/postdate"

// EndpointSettings is what is configured for an endpoint, as far as its pace goes.
type EndpointSettings struct {
	// Version is that of its tenant: of two the newer one holds.
	Version int64 `json:"version"`
	// AttrState is empty of one that was deleted.
	State    postdate.EndpointState `json:"state"`
	Pace     postdate.Pace          `json:"pace"` // its limits
	Coalesce bool                   `json:"coalesce,omitempty"`
}

// SettingsOf are the settings of the tenant's endpoint of that id, where inFlight
// bounds those that have no bound of their own.
func SettingsOf(t *postdate.Tenant, id string, inFlight int) EndpointSettings {
	s := EndpointSettings{Version: t.Version}
	if e, ok := t.Endpoint(id); ok {
		s.State, s.Pace, s.Coalesce = e.State, e.Pace(inFlight), e.Coalesce
	}
	return s
}

// EndpointRef names an endpoint.
type EndpointRef struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
}
