package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

// TenantInput is the tenant as it was when the execution before this one ended.
type TenantInput struct {
	Name   string          `json:"name"`
	Tenant postdate.Tenant `json:"tenant"`
	// Announcements are those that were not published yet, oldest first.
	Announcements []Announcement `json:"announcements,omitempty"`
	// Canaries are those of which the executions of their endpoints are to know, oldest first.
	Canaries []CanaryRef `json:"canaries,omitempty"`
}

// TenantRead is the result of [QueryTenant]. Tenant is nil where the caller knows that
// version already.
type TenantRead struct {
	Version int64            `json:"version"`
	Tenant  *postdate.Tenant `json:"tenant,omitempty"`
}

// PatchEndpoint is a change of an endpoint.
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

// ReportEndpoint reports that an endpoint fails, or has recovered.
type ReportEndpoint struct {
	ID string `json:"id"`
	// Failing: it fails, since Since. Otherwise it has recovered.
	Failing bool      `json:"failing"`
	Since   time.Time `json:"since,omitzero"`
	Last    string    `json:"last,omitempty"` // its last response, in a line
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
	// Ensure keeps an existing secret.
	Ensure bool `json:"ensure,omitempty"`
	// Before is the secret that was in force, where the tenant has none of its own yet. It
	// stays valid for the overlap.
	Before postdate.Secret `json:"before,omitempty"`
}

// TenantChanged is the result of an Update: the version of the tenant after it, and what
// it concerned as that is now.
type TenantChanged struct {
	Version int64 `json:"version"`
	// Created reports whether what was to be created is new: false where the same request
	// had created it before.
	Created  bool               `json:"created,omitempty"`
	Endpoint *postdate.Endpoint `json:"endpoint,omitempty"`
	Key      *postdate.Key      `json:"key,omitempty"`
	// Calendar is the holiday calendar that was put or deleted.
	Calendar *postdate.HolidayCalendar `json:"calendar,omitempty"`
	// Source is the source that was changed or deleted.
	Source *postdate.Source `json:"source,omitempty"`
	// Secret is the tenant's newest secret, where that was rotated or ensured.
	Secret postdate.Secret `json:"secret,omitempty"`
	// Sweep is the id of the Sweep that was started, if one was.
	Sweep string `json:"sweep,omitempty"`
}

// PutCalendar creates a holiday calendar, or replaces the one of its name.
type PutCalendar struct {
	Calendar postdate.HolidayCalendar `json:"calendar"`
	// Create: another calendar of that name is a conflict.
	Create bool `json:"create,omitempty"`
}
