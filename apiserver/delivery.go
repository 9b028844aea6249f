package apiserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/postdate/postdate"
)

// deliveryOf is a delivery as the API shows it, in whichever state it is.
func (s *server) deliveryOf(d postdate.Delivery) Delivery {
	d = byLawOfToday(d)
	shown := Delivery{
		ID:            d.ID,
		State:         d.State,
		Reason:        d.Reason,
		Entity:        d.Message.Entity,
		Type:          d.Message.Type,
		To:            d.To,
		DueAt:         d.DueAt,
		NextAttemptAt: d.NextAttemptAt,
		Queue:         d.Queue,
		CreatedAt:     d.CreatedAt,
		EndedAt:       d.EndedAt,
		ExpiresAt:     d.ExpiresAt,
		Import:        d.Import,
		Timeout:       d.Timeout,
		Retry:         d.Retry,
		Attempts:      attemptsOf(d.Attempts),
		Canary:        d.Canary,
		Link:          s.link(d.Execution),
	}
	shown.Data, shown.DataBase64, shown.Inbound = shownData(d.Message)
	showLocal(&shown, d.Local)
	return shown
}

// shownData is what a message holds, and how it came, where a source took it in: then its data
// need not be JSON.
func shownData(m postdate.Message) (data json.RawMessage, encoded string, came *Inbound) {
	if m.Inbound == nil {
		return m.Data, "", nil
	}
	came = &Inbound{
		Source: m.Inbound.Source, Method: m.Inbound.Method, Path: m.Inbound.Path, Query: m.Inbound.Query, ContentType: m.Inbound.ContentType,
	}
	for _, header := range m.Inbound.Headers {
		came.Headers = append(came.Headers, header.Name)
	}
	if len(m.Data) == 0 || json.Valid(m.Data) && utf8.Valid(m.Data) {
		return m.Data, "", came
	}
	return nil, base64.StdEncoding.EncodeToString(m.Data), came
}

// summaryOf is a delivery as the API's lists show it.
func (s *server) summaryOf(d postdate.DeliverySummary) DeliverySummary {
	return DeliverySummary{
		ID:        d.ID,
		State:     d.State,
		Entity:    d.Entity,
		Type:      d.Type,
		To:        d.To,
		DueAt:     d.DueAt,
		CreatedAt: d.CreatedAt,
		EndedAt:   d.EndedAt,
		Link:      s.link(d.Execution),
	}
}

// link is where Temporal's Web UI shows an execution. The slashes in its id are not
// those of the path.
func (s *server) link(e postdate.Execution) string {
	if s.UIURL == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s/%s/history",
		s.UIURL, url.PathEscape(s.Namespace), url.PathEscape(e.WorkflowID), e.RunID)
}

func attemptsOf(log postdate.Attempts) []Attempt {
	all := make([]Attempt, len(log))
	for i, a := range log {
		all[i] = Attempt{
			Number:     a.Number,
			At:         a.At.UTC(),
			Duration:   (time.Duration(a.DurationMS) * time.Millisecond).String(),
			Outcome:    a.Outcome,
			Status:     a.Status,
			Error:      a.Error,
			Response:   a.Response,
			Busy:       a.Busy,
			RetryAfter: a.RetryAfter,
			Canary:     a.Canary,
		}
	}
	return all
}
