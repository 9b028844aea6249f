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
	Pull     bool                   `json:"pull,omitempty"` // nothing is sent: consumers pull
	// Canary is its canary, without what only attempts need. Nil: it has none.
	Canary *postdate.Canary `json:"canary,omitempty"`
}

// SettingsOf are the settings of the tenant's endpoint of that id, or of its canary, where
// key is a [postdate.CanaryKey]: one that takes nothing any more is as one that was deleted.
// inFlight bounds the attempts under way where the endpoint has no bound of its own.
func SettingsOf(t *postdate.Tenant, key string, inFlight int) EndpointSettings {
	s := EndpointSettings{Version: t.Version}
	id, canary := postdate.SplitCanaryKey(key)
	e, ok := t.Endpoint(id)
	if !ok || canary != "" && (!e.Canary.Active() || e.Canary.ID != canary) {
		return s
	}
	e = e.At(canary)
	s.State, s.Pace, s.Coalesce, s.Pull, s.Canary = e.State, e.Pace(inFlight), e.Coalesce, e.Pull, e.Canary.Settings()
	return s
}

// EndpointRef names an endpoint.
type EndpointRef struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
}
