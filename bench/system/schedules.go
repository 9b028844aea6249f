package system

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

type schedule struct {
	ID     string          `json:"id,omitempty"`
	Entity string          `json:"entity"`
	Type   string          `json:"type"`
	Data   json.RawMessage `json:"data"`
	To     destination     `json:"to"`
	DueAt  time.Time       `json:"due_at,omitzero"`
	Spread string          `json:"spread,omitempty"`
	// Timeout is how long an attempt may take.
	Timeout string `json:"timeout,omitempty"`
}

type destination struct {
	URL string `json:"url"`
}

func newSchedule(m *rig.Message) schedule {
	return schedule{ID: m.ID, Entity: m.Entity, Type: "payment_request.due", Data: payload, To: destination{m.URL}, DueAt: m.Due.UTC()}
}

// Publish schedules the message under its id.
func (p *Postdate) Publish(ctx context.Context, m *rig.Message) error {
	return p.call(ctx, http.MethodPost, "/v1/schedules", newSchedule(m), http.StatusCreated, nil)
}

// Unnamed publishes schedules without ids, which may share executions.
type Unnamed struct{ *Postdate }

// Publish gives m the id that is answered.
func (u Unnamed) Publish(ctx context.Context, m *rig.Message) error {
	in := newSchedule(m)
	in.ID = ""
	var created schedule
	if err := u.call(ctx, http.MethodPost, "/v1/schedules", in, http.StatusCreated, &created); err != nil {
		return err
	}
	m.ID = created.ID
	return nil
}

// Patient publishes schedules whose attempts may take long.
type Patient struct {
	*Postdate

	Timeout time.Duration
}

// Publish schedules the message under its id.
func (p Patient) Publish(ctx context.Context, m *rig.Message) error {
	in := newSchedule(m)
	in.Timeout = p.Timeout.String()
	return p.call(ctx, http.MethodPost, "/v1/schedules", in, http.StatusCreated, nil)
}

// Spread publishes schedules that are all due at one instant, spread over a time.
type Spread struct {
	*Postdate

	Due  time.Time
	Over time.Duration
}

// Publish also writes into m when it is due after all: it is held to that.
func (s Spread) Publish(ctx context.Context, m *rig.Message) error {
	in := newSchedule(m)
	in.DueAt, in.Spread = s.Due.UTC(), s.Over.String()
	var created schedule
	if err := s.call(ctx, http.MethodPost, "/v1/schedules", in, http.StatusCreated, &created); err != nil {
		return err
	}
	if created.DueAt.Before(s.Due) || !created.DueAt.Before(s.Due.Add(s.Over)) {
		return fmt.Errorf("moved to %s: that is not within %s from %s", created.DueAt, s.Over, s.Due.UTC())
	}
	m.Due = created.DueAt
	return nil
}

// Reschedule makes m due at that time, and fails where the API answers another.
func (p *Postdate) Reschedule(ctx context.Context, m *rig.Message, due time.Time) error {
	var changed schedule
	if err := p.call(ctx, http.MethodPatch, "/v1/schedules/"+m.ID, map[string]time.Time{"due_at": due.UTC()}, http.StatusOK, &changed); err != nil {
		return err
	}
	if !changed.DueAt.Equal(due) {
		return fmt.Errorf("rescheduled to %s, it is due at %s", due.UTC(), changed.DueAt)
	}
	m.Due = due
	return nil
}

// Cancel cancels m.
func (p *Postdate) Cancel(ctx context.Context, m *rig.Message) error {
	return p.call(ctx, http.MethodDelete, "/v1/schedules/"+m.ID, nil, http.StatusOK, nil)
}

// Page is a page of the list of schedules.
type Page struct {
	Data       []schedule `json:"data"`
	HasMore    bool       `json:"has_more"`
	NextCursor string     `json:"next_cursor"`
}

// List returns one page.
func (p *Postdate) List(ctx context.Context, query url.Values) (Page, error) {
	var page Page
	err := p.call(ctx, http.MethodGet, "/v1/schedules?"+query.Encode(), nil, http.StatusOK, &page)
	return page, err
}
