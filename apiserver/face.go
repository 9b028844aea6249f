package apiserver

import (
	"fmt"
	"net/url"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/ledger"
)

// face shows v, whichever state it is in and whatever carries it.
func (s *server) face(v *ledger.Sight) Delivery {
	shipment, now := v.Input.Shipment, s.Now()
	return Delivery{
		ID:            shipment.ID(),
		State:         v.State(now),
		Reason:        v.Reason(now),
		Entity:        shipment.Message.Entity,
		Type:          shipment.Message.Type,
		Data:          shipment.Message.Data,
		To:            shipment.To,
		DueAt:         shipment.DueAt,
		NextAttemptAt: v.NextAttempt(now),
		Turn:          v.Turn(now),
		CreatedAt:     v.Accepted.At,
		EndedAt:       v.EndedAt(),
		ExpiresAt:     v.Input.ExpiresAt,
		Timeout:       v.Timeout,
		Retry:         v.Input.Retry,
		Attempts:      attemptsOf(v.Attempts),
		Link:          s.link(v.Info),
	}
}

// summaryOf shows a delivery as lists do.
func (s *server) summaryOf(row ledger.Row) DeliverySummary {
	return DeliverySummary{
		ID:        row.ID,
		State:     row.State,
		Entity:    row.Entity,
		Type:      row.Type,
		To:        row.To,
		DueAt:     row.DueAt,
		CreatedAt: row.CreatedAt,
		EndedAt:   row.EndedAt,
		Link:      s.link(row.Info),
	}
}

// link is where the engine's Web UI shows the execution. The slashes in its id
// are not those of the path.
func (s *server) link(info *workflowpb.WorkflowExecutionInfo) string {
	if s.UIURL == "" {
		return ""
	}
	run := info.GetExecution()
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s/%s/history",
		s.UIURL, url.PathEscape(s.Ledger.Namespace), url.PathEscape(run.GetWorkflowId()), run.GetRunId())
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
			RetryAfter: a.RetryAfter,
		}
	}
	return all
}
