package postdate

import (
	"slices"
	"time"
)

const (
	// MaxEndpoints is how many endpoints a tenant may have.
	MaxEndpoints = 1000
	// MaxKeys is how many keys a tenant may have.
	MaxKeys = 100
	// MaxCalendars is how many holiday calendars a tenant may have.
	MaxCalendars = 100
	// MaxTenantBytes bounds all that is kept of a tenant: the engine takes 2 MB.
	MaxTenantBytes = 1_500_000
	// OperatorTenant is the tenant whose endpoints get events about the endpoints and
	// deliveries of all others.
	OperatorTenant = "operator"
)

// The types of the events that the operator's endpoints can subscribe to.
const (
	EndpointDisabled  = "endpoint.disabled"
	EndpointFailing   = "endpoint.failing"
	EndpointRecovered = "endpoint.recovered"
	// EndpointOverloaded: a queue will not have drained before its messages expire.
	EndpointOverloaded = "endpoint.overloaded"
	// EndpointCanaryRolledBack: an endpoint's canary was worse than its primary, and gets nothing any more.
	EndpointCanaryRolledBack = "endpoint.canary_rolled_back"
	DeliveryDead             = "delivery.dead"
)

// Tenant is all that is configured for one tenant.
type Tenant struct {
	// Version grows with each change.
	Version int64 `json:"version"`
	// Endpoints are in the order in which they were registered.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Keys      []Key      `json:"keys,omitempty"`
	// Secrets sign messages to bare urls. Newest first.
	Secrets ExpiringSecrets `json:"secrets,omitempty"`
	// Calendars are its holiday calendars, in the order of their names.
	Calendars []HolidayCalendar `json:"calendars,omitempty"`
	// Sources are in the order in which they were registered.
	Sources []Source `json:"sources,omitempty"`
}

// Source is the source of that id.
func (t *Tenant) Source(id string) (Source, bool) {
	i := slices.IndexFunc(t.Sources, func(s Source) bool { return s.ID == id })
	if i < 0 {
		return Source{}, false
	}
	return t.Sources[i], true
}

// Calendar is the holiday calendar of that name.
func (t *Tenant) Calendar(name string) (HolidayCalendar, bool) {
	i := slices.IndexFunc(t.Calendars, func(c HolidayCalendar) bool { return c.Name == name })
	if i < 0 {
		return HolidayCalendar{}, false
	}
	return t.Calendars[i], true
}

// Endpoint is the endpoint of that id.
func (t *Tenant) Endpoint(id string) (Endpoint, bool) {
	i := slices.IndexFunc(t.Endpoints, func(e Endpoint) bool { return e.ID == id })
	if i < 0 {
		return Endpoint{}, false
	}
	return t.Endpoints[i], true
}

// Subscribers are the ids of the endpoints that subscribed to events of that
// type, whatever their state: what is due to one that is not enabled is parked.
func (t *Tenant) Subscribers(eventType string) []string {
	ids := []string{}
	for _, e := range t.Endpoints {
		if e.Subscribes(eventType) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// Scope is what a key may do. Each includes those before it, but Pull, which includes none.
type Scope string

// The scopes.
const (
	Read  Scope = "read"  // see
	Write Scope = "write" // send, change and cancel messages
	Admin Scope = "admin" // change endpoints, keys and secrets
	// Pull: pull messages from one endpoint, and settle them. Write and Admin include it.
	Pull Scope = "pull"
)

// Scopes lists those of which each includes those before it.
var Scopes = []Scope{Read, Write, Admin}

// Includes reports whether a key of scope s may do what requires other.
func (s Scope) Includes(other Scope) bool {
	if other == Pull {
		return s == Pull || s.Includes(Write)
	}
	return slices.Index(Scopes, s) >= slices.Index(Scopes, other) && slices.Contains(Scopes, s)
}

// Key is a tenant's key. The text that callers show is not kept: its hash is.
type Key struct {
	ID string `json:"id"`
	// Prefix is the beginning of the text, by which people know it again.
	Prefix string `json:"prefix"`
	// Hash is the SHA-256 of the text, in hex.
	Hash  string `json:"hash"`
	Scope Scope  `json:"scope"`
	// Endpoint is the one that a key of scope Pull pulls from: empty of all others.
	Endpoint    string    `json:"endpoint,omitempty"`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	// ExpiresAt is the moment from which it is not valid. Nil: it does not expire.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// Valid reports whether k is valid at that moment.
func (k Key) Valid(now time.Time) bool { return k.ExpiresAt == nil || now.Before(*k.ExpiresAt) }
