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

// maxReason bounds why an endpoint is not enabled, in bytes: it does not count
// towards what a tenant may take, for it is not its owner's to shorten.
const maxReason = 200

// endpoint is the one of that id, to be changed in place.
func (d *change) endpoint(id string) (*postdate.Endpoint, error) {
	i := slices.IndexFunc(d.Endpoints, func(e postdate.Endpoint) bool { return e.ID == id })
	if i < 0 {
		return nil, postdate.Errorf(postdate.NotFound, "", "no endpoint %s", id)
	}
	d.result.Endpoint = &d.Endpoints[i]
	return d.result.Endpoint, nil
}

// markUpdated notes that e was changed.
func (d *change) markUpdated(e *postdate.Endpoint) {
	d.markChanged()
	e.UpdatedAt = d.now
}

func (d *change) createEndpoint(e postdate.Endpoint) error {
	if taken, ok := d.Endpoint(e.ID); ok {
		if e.Digest == "" || e.Digest != taken.Digest {
			return postdate.Errorf(postdate.Conflict, "/id", "another endpoint has this id")
		}
		d.result.Endpoint = &taken
		return nil
	}
	if e.State == "" {
		e.State = postdate.Enabled
	}
	e.CreatedAt = d.now
	d.Endpoints = append(d.Endpoints, e)
	made := &d.Endpoints[len(d.Endpoints)-1]
	d.markUpdated(made)
	d.needsLimitCheck, d.result.Created, d.result.Endpoint = true, true, made
	return nil
}

func (d *change) patchEndpoint(in protocol.PatchEndpoint) error {
	e, err := d.endpoint(in.ID)
	if err != nil {
		return err
	}
	*e = in.Patch.Apply(*e)
	d.markUpdated(e)
	d.needsLimitCheck = true
	return nil
}

func (d *change) deleteEndpoint(id string) error {
	e, err := d.endpoint(id)
	if err != nil {
		return err
	}
	deleted := *e
	d.result.Endpoint = &deleted
	d.Endpoints = slices.DeleteFunc(d.Endpoints, func(e postdate.Endpoint) bool { return e.ID == id })
	d.markChanged()
	d.sweep = &protocol.SweepInput{Action: protocol.SweepCancel, Filter: postdate.Filter{Tenant: d.name, Endpoint: id, AcceptedBefore: d.now}}
	return nil
}

func (d *change) setEndpointState(in protocol.SetEndpointState) error {
	e, err := d.endpoint(in.ID)
	if err != nil {
		return err
	}
	switch in.State {
	case postdate.Enabled, postdate.Paused, postdate.Disabled:
	default:
		return postdate.Errorf(postdate.Invalid, "/state", "%q, %q or %q", postdate.Enabled, postdate.Paused, postdate.Disabled)
	}
	if e.State == in.State {
		return nil // the reason of the first time stands
	}
	e.State, e.Reason = in.State, reason(in.Reason)
	d.markUpdated(e)
	switch e.State {
	case postdate.Enabled:
		e.Reason, e.FailingSince = "", time.Time{}
		d.sweep = &protocol.SweepInput{Action: protocol.SweepRelease, Filter: postdate.Filter{Tenant: d.name, Endpoint: e.ID, State: postdate.Parked}}
	case postdate.Disabled:
		d.announce(postdate.EndpointDisabled, *e, e.Reason)
	case postdate.Paused:
	}
	return nil
}

// reportEndpoint heeds what is told of an endpoint that is sent to. What is told
// of another one came too late.
func (d *change) reportEndpoint(in protocol.ReportEndpoint) error {
	e, err := d.endpoint(in.ID)
	if err != nil || e.State != postdate.Enabled {
		return err
	}
	if !in.Failing {
		d.recovered(e)
		return nil
	}
	if e.FailingSince.IsZero() {
		// What one process has seen is believed of lately only: others may have
		// seen successes, and the endpoint may have been enabled since.
		e.FailingSince = d.now
		if in.Since.After(e.UpdatedAt) && in.Since.Before(d.now) && d.now.Sub(in.Since) < time.Hour {
			e.FailingSince = in.Since
		}
		d.markUpdated(e)
		d.announce(postdate.EndpointFailing, *e, reason(in.Last))
		return nil
	}
	if failed := d.now.Sub(e.FailingSince); in.DisableAfter > 0 && failed >= in.DisableAfter.Duration() {
		e.State, e.Reason = postdate.Disabled, reason("failed for "+days(failed)+": "+in.Last)
		d.markUpdated(e)
		d.announce(postdate.EndpointDisabled, *e, e.Reason)
	}
	return nil
}

// recovered ends the failures that e is known for, if it is.
func (d *change) recovered(e *postdate.Endpoint) {
	if e.FailingSince.IsZero() {
		return
	}
	was := *e
	e.FailingSince = time.Time{}
	d.markUpdated(e)
	d.announce(postdate.EndpointRecovered, was, "")
}

// reason is text, as short as a reason may be.
func reason(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}

// days says how long something took, to people.
func days(long time.Duration) string {
	if n := int(long.Hours() / 24); n >= 2 {
		return fmt.Sprintf("%d days", n)
	}
	return long.Round(time.Second).String()
}

// endpointNews is the data of what is announced about an endpoint. Of its URL it
// tells the host alone, for a path may be a secret.
type endpointNews struct {
	Tenant   string    `json:"tenant"`
	Endpoint string    `json:"endpoint"`
	Host     string    `json:"host"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"failing_since,omitzero"`
}

// announce has it told to the operator's endpoints, unless e is one of those.
func (d *change) announce(eventType string, e postdate.Endpoint, why string) {
	if d.name == postdate.OperatorTenant {
		return
	}
	news := endpointNews{Tenant: d.name, Endpoint: e.ID, Reason: why, Since: e.FailingSince}
	if u, err := url.Parse(e.URL); err == nil {
		news.Host = reason(u.Host)
	}
	data, err := json.Marshal(news)
	if err != nil {
		return // no text or time of ours fails
	}
	d.announcements = append(d.announcements, protocol.Announcement{
		ID:     protocol.AnnouncementID(eventType, d.name, e.ID, strconv.FormatInt(d.Version, 10)),
		Tenant: d.name, Type: eventType, At: d.now, Data: data,
	})
}
