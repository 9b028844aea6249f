package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

// TenantInput is the tenant as it was when the execution before this one ended.
type TenantInput struct {
	Name   string          `json:"name"`
	Tenant postdate.Tenant `json:"tenant"`
	// Announcements are those that were not made yet, oldest first.
	Announcements []Announcement `json:"announcements,omitempty"`
}

// TenantRead is the answer to [QueryTenant]: nil where the caller knows it already.
type TenantRead struct {
	Version int64            `json:"version"`
	Tenant  *postdate.Tenant `json:"tenant,omitempty"`
}

// PatchEndpoint asks for changes of an endpoint.
type PatchEndpoint struct {
	ID    string                 `json:"id"`
	Patch postdate.EndpointPatch `json:"patch"`
}

// SetEndpointState pauses, enables or disables an endpoint.
type SetEndpointState struct {
	ID     string                 `json:"id"`
	State  postdate.EndpointState `json:"state"`
	Reason string                 `json:"reason,omitempty"`
}

// ReportEndpoint tells of an endpoint that its answers have changed.
type ReportEndpoint struct {
	ID string `json:"id"`
	// Failing tells whether it fails, since Since, or has recovered.
	Failing bool      `json:"failing"`
	Since   time.Time `json:"since,omitzero"`
	Last    string    `json:"last,omitempty"` // its last answer, in a line
	// DisableAfter is how long it may fail before it is disabled: the
	// operator's setting in the reporting process.
	DisableAfter postdate.Duration `json:"disable_after"`
}

// RotateSecret puts a new secret first: an endpoint's, or the tenant's for bare
// urls where Endpoint is empty.
type RotateSecret struct {
	Endpoint string            `json:"endpoint,omitempty"`
	Secret   postdate.Secret   `json:"secret"`
	Overlap  postdate.Duration `json:"overlap"`
	// Ensure keeps the one that there is, if there is one.
	Ensure bool `json:"ensure,omitempty"`
	// Before is the secret that was in force where the tenant has none of its
	// own yet: it goes on for the overlap.
	Before postdate.Secret `json:"before,omitempty"`
}

// TenantChanged is the answer to an Update: the version that the tenant has
// after it, and what it concerned as it is now.
type TenantChanged struct {
	Version int64 `json:"version"`
	// Created tells whether what was to be created is new: false where it was
	// there already, made by the same request.
	Created  bool               `json:"created,omitempty"`
	Endpoint *postdate.Endpoint `json:"endpoint,omitempty"`
	Key      *postdate.Key      `json:"key,omitempty"`
	// Secret is the newest, of a tenant whose secret was rotated or asked for.
	Secret postdate.Secret `json:"secret,omitempty"`
	// Sweep is the id of the Sweep that was started, if one was.
	Sweep string `json:"sweep,omitempty"`
}
