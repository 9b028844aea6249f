package apiserver

import (
	"fmt"
	"net/url"
	"time"

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
		Data:          d.Message.Data,
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
		Link:          s.link(d.Execution),
	}
	showLocal(&shown, d.Local)
	return shown
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
		}
	}
	return all
}
