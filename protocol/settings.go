package protocol

import "github.com/postdate/postdate"

// EndpointSettings are the settings of an endpoint that concern its pace.
type EndpointSettings struct {
	// Version is the version of its tenant: the higher one is newer.
	Version int64 `json:"version"`
	// State is empty where the endpoint was deleted.
	State    postdate.EndpointState `json:"state"`
	Pace     postdate.Pace          `json:"pace"` // its limits
	Coalesce bool                   `json:"coalesce,omitempty"`
}

// SettingsOf are the settings of the tenant's endpoint of that id. inFlight bounds the
// attempts under way where the endpoint has no bound of its own.
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
