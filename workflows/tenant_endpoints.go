package workflows

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// maxReason bounds the reason why an endpoint is not enabled, in bytes: it does not count
// towards the tenant's limit, since its owner cannot shorten it.
const maxReason = 200

// endpoint is the endpoint of that id, to be changed in place.
func (c *change) endpoint(id string) (*postdate.Endpoint, error) {
	i := slices.IndexFunc(c.Endpoints, func(e postdate.Endpoint) bool { return e.ID == id })
	if i < 0 {
		return nil, postdate.Errorf(postdate.NotFound, "", "no endpoint %s", id)
	}
	c.result.Endpoint = &c.Endpoints[i]
	return c.result.Endpoint, nil
}

// markUpdated records that e was changed.
func (c *change) markUpdated(e *postdate.Endpoint) {
	c.markChanged()
	e.UpdatedAt = c.now
}

func (c *change) createEndpoint(e postdate.Endpoint) error {
	if existing, ok := c.Endpoint(e.ID); ok {
		if e.Digest == "" || e.Digest != existing.Digest {
			return postdate.Errorf(postdate.Conflict, "/id", "another endpoint has this id")
		}
		c.result.Endpoint = &existing
		return nil
	}
	if e.State == "" {
		e.State = postdate.Enabled
	}
	e.CreatedAt = c.now
	c.Endpoints = append(c.Endpoints, e)
	created := &c.Endpoints[len(c.Endpoints)-1]
	c.beginCanary(created, nil)
	c.markUpdated(created)
	c.needsLimitCheck, c.result.Created, c.result.Endpoint = true, true, created
	return nil
}

func (c *change) patchEndpoint(in protocol.PatchEndpoint) error {
	e, err := c.endpoint(in.ID)
	if err != nil {
		return err
	}
	before := e.Canary
	*e = in.Patch.Apply(*e)
	if in.Patch.Canary != nil {
		c.beginCanary(e, before)
	}
	c.markUpdated(e)
	c.needsLimitCheck = true
	return nil
}

func (c *change) deleteEndpoint(id string) error {
	e, err := c.endpoint(id)
	if err != nil {
		return err
	}
	deleted := *e
	c.result.Endpoint = &deleted
	c.Endpoints = slices.DeleteFunc(c.Endpoints, func(e postdate.Endpoint) bool { return e.ID == id })
	c.markChanged()
	c.sweep = &protocol.SweepInput{Action: protocol.SweepCancel, Filter: postdate.Filter{Tenant: c.name, Endpoint: id, AcceptedBefore: new(c.now)}}
	return nil
}

func (c *change) setEndpointState(in protocol.SetEndpointState) error {
	e, err := c.endpoint(in.ID)
	if err != nil {
		return err
	}
	switch in.State {
	case postdate.Enabled, postdate.Paused, postdate.Disabled:
	default:
		return postdate.Errorf(postdate.Invalid, "/state", "%q, %q or %q", postdate.Enabled, postdate.Paused, postdate.Disabled)
	}
	if e.State == in.State {
		return nil // the first reason stays
	}
	e.State, e.Reason = in.State, reason(in.Reason)
	c.markUpdated(e)
	switch e.State {
	case postdate.Enabled:
		e.Reason, e.FailingSince = "", time.Time{}
		c.resumeCanary(e)
		c.sweep = &protocol.SweepInput{Action: protocol.SweepRelease, Filter: postdate.Filter{Tenant: c.name, Endpoint: e.ID, State: postdate.Parked}}
	case postdate.Disabled:
		c.announce(postdate.EndpointDisabled, *e, e.Reason)
	case postdate.Paused:
	}
	return nil
}

// reportEndpoint records that an enabled endpoint fails, or has recovered. A report on
// one that is not enabled comes too late.
func (c *change) reportEndpoint(in protocol.ReportEndpoint) error {
	e, err := c.endpoint(in.ID)
	if err != nil || e.State != postdate.Enabled {
		return err
	}
	if !in.Failing {
		c.recovered(e)
		return nil
	}
	if e.FailingSince.IsZero() {
		// One process alone counts for an hour at most: others may have seen successes,
		// and the endpoint may have been enabled since.
		e.FailingSince = c.now
		if in.Since.After(e.UpdatedAt) && in.Since.Before(c.now) && c.now.Sub(in.Since) < time.Hour {
			e.FailingSince = in.Since
		}
		c.markUpdated(e)
		c.announce(postdate.EndpointFailing, *e, reason(in.Last))
		return nil
	}
	if failed := c.now.Sub(e.FailingSince); in.DisableAfter > 0 && failed >= in.DisableAfter.Duration() {
		e.State, e.Reason = postdate.Disabled, reason("failed for "+days(failed)+": "+in.Last)
		c.markUpdated(e)
		c.announce(postdate.EndpointDisabled, *e, e.Reason)
	}
	return nil
}

// recovered records that e does not fail any more, if it did.
func (c *change) recovered(e *postdate.Endpoint) {
	if e.FailingSince.IsZero() {
		return
	}
	was := *e
	e.FailingSince = time.Time{}
	c.markUpdated(e)
	c.announce(postdate.EndpointRecovered, was, "")
}

// reason is text, as short as a reason may be.
func reason(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}

// days is a duration as people read it.
func days(long time.Duration) string {
	if n := int(long.Hours() / 24); n >= 2 {
		return fmt.Sprintf("%d days", n)
	}
	return long.Round(time.Second).String()
}

// endpointEvent is the data of an announcement about an endpoint. Of the URL it holds the
// host alone, since a path may be a secret.
type endpointEvent struct {
	Tenant   string    `json:"tenant"`
	Endpoint string    `json:"endpoint"`
	Host     string    `json:"host,omitempty"`
	Stream   string    `json:"stream,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"failing_since,omitzero"`
}

// announce announces something about e to the operator's endpoints, unless e is one of
// those.
func (c *change) announce(eventType string, e postdate.Endpoint, reasonText string) {
	if c.name == postdate.OperatorTenant {
		return
	}
	event := endpointEvent{Tenant: c.name, Endpoint: e.ID, Stream: e.Stream, Reason: reasonText, Since: e.FailingSince}
	if u, err := url.Parse(e.URL); err == nil {
		event.Host = reason(u.Host)
	}
	data, err := json.Marshal(event)
	if err != nil {
		return // strings and times never fail
	}
	c.announcements = append(c.announcements, protocol.Announcement{
		ID:     protocol.AnnouncementID(eventType, c.name, e.ID, strconv.FormatInt(c.Version, 10)),
		Tenant: c.name, Type: eventType, At: c.now, Data: data,
	})
}
