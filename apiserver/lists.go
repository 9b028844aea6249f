package apiserver

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// defaultLimit is how many deliveries a page holds where the request says nothing.
const defaultLimit = 50

// list answers one page, from one question to the engine.
func (s *server) list(ctx context.Context, p ListDeliveriesParams) (DeliveryList, error) {
	tenant, now := tenantOf(ctx), s.Now()
	token, err := s.openCursor(tenant, p)
	if err != nil {
		return DeliveryList{}, err
	}
	answer, err := s.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace:     s.Namespace,
		PageSize:      int32(cmp.Or(p.Limit, defaultLimit)), //nolint:gosec // the specification bounds it
		NextPageToken: token,
		Query:         query(tenant, p, now),
	})
	if err != nil {
		return DeliveryList{}, fmt.Errorf("list: %w", err)
	}
	page := DeliveryList{
		Data:       []DeliverySummary{},
		HasMore:    len(answer.GetNextPageToken()) > 0,
		NextCursor: s.cursor(tenant, p, answer.GetNextPageToken()),
	}
	for _, info := range answer.GetExecutions() {
		row, mine, err := s.row(tenant, info, now)
		if err != nil {
			return DeliveryList{}, err
		}
		if mine && (p.Entity == "" || p.Entity == row.Entity) && (p.Type == "" || p.Type == row.Type) {
			page.Data = append(page.Data, row)
		}
	}
	return page, nil
}

// query asks the engine for what p asks for. Whatever else it asks, it asks for
// the tenant's own only.
func query(tenant string, p ListDeliveriesParams, now time.Time) string {
	conditions := []string{
		"WorkflowType = " + quote(workflows.DeliverName),
		equals(workflows.Tenant, tenant),
		cmp.Or(conditionOf(p.State, now), "ExecutionStatus != 'ContinuedAsNew'"),
	}
	if isPlain(p.Entity) {
		conditions = append(conditions, equals(workflows.Entity, p.Entity))
	}
	if isPlain(p.Type) {
		conditions = append(conditions, equals(workflows.MessageType, p.Type))
	}
	if !p.DueBefore.IsZero() {
		conditions = append(conditions, "ExecutionTime < "+quoteTime(p.DueBefore))
	}
	if !p.DueAfter.IsZero() {
		conditions = append(conditions, "ExecutionTime >= "+quoteTime(p.DueAfter))
	}
	return strings.Join(conditions, " AND ")
}

// conditionOf says of executions what [stateOf] says of one. A comparison with
// an attribute that is not set is never true, so that is asked for by name.
func conditionOf(state postdate.State, now time.Time) string {
	mark := workflows.State.GetName()
	switch state {
	case postdate.Scheduled:
		return fmt.Sprintf("ExecutionStatus = 'Running' AND %s IS NULL AND ExecutionTime > %s", mark, quoteTime(now))
	case postdate.Sending:
		return fmt.Sprintf("ExecutionStatus = 'Running' AND %s IS NULL AND ExecutionTime <= %s", mark, quoteTime(now))
	case postdate.Retrying:
		return "ExecutionStatus = 'Running' AND " + equals(workflows.State, string(postdate.Retrying))
	case postdate.Delivered:
		return "ExecutionStatus = 'Completed'"
	case postdate.Cancelled:
		return "ExecutionStatus IN ('Canceled', 'Terminated')"
	case postdate.Expired:
		return "ExecutionStatus IN ('Failed', 'TimedOut') AND " + equals(workflows.State, string(postdate.Expired))
	case postdate.Dead:
		return fmt.Sprintf("ExecutionStatus IN ('Failed', 'TimedOut') AND (%[1]s IS NULL OR %[1]s != %[2]s)",
			mark, quote(string(postdate.Expired)))
	default:
		return ""
	}
}

// attribute is a search attribute of whichever type.
type attribute interface{ GetName() string }

func equals(key attribute, value string) string { return key.GetName() + " = " + quote(value) }

// isPlain tells whether value can stand in a query. One with a quote or a
// backslash cannot: SQL visibility finds no such value, and SQLite's answers an
// error; nor one with a heart, by which SQLite's separates values. Without the
// condition all rows are read, and held against the filters as they always are.
func isPlain(value string) bool { return value != "" && !strings.ContainsAny(value, `'"\♡`) }

// quote makes plain text a string of the engine's query language.
func quote(text string) string { return "'" + text + "'" }

func quoteTime(t time.Time) string { return quote(t.UTC().Format(time.RFC3339Nano)) }

// row is a delivery as lists show it, and whether it is the tenant's.
func (s *server) row(tenant string, info *workflowpb.WorkflowExecutionInfo, now time.Time) (DeliverySummary, bool, error) {
	owner, id, ok := workflows.ParseScheduleID(info.GetExecution().GetWorkflowId())
	if !ok || owner != tenant {
		return DeliverySummary{}, false, nil
	}
	var told workflows.Accepted
	if err := s.DataConverter.FromPayload(info.GetMemo().GetFields()[workflows.MemoAccepted], &told); err != nil {
		return DeliverySummary{}, false, fmt.Errorf("read the memo of %s: %w", info.GetExecution().GetWorkflowId(), err)
	}
	fields := info.GetSearchAttributes().GetIndexedFields()
	return DeliverySummary{
		ID:        id,
		State:     stateOf(info, now),
		Entity:    only(fields[workflows.Entity.GetName()]),
		Type:      only(fields[workflows.MessageType.GetName()]),
		To:        told.To,
		DueAt:     asTime(info.GetExecutionTime()),
		CreatedAt: told.At,
		EndedAt:   asTime(info.GetCloseTime()),
		Link:      s.link(info),
	}, true, nil
}

// only is the one value of a keyword list. SQLite keeps a list as one text with
// hearts between its values, so a value that has a heart comes back as several.
func only(payload *commonpb.Payload) string {
	var values []string
	if err := json.Unmarshal(payload.GetData(), &values); err != nil {
		var value string
		_ = json.Unmarshal(payload.GetData(), &value) // unset, it is empty
		return value
	}
	return strings.Join(values, "♡")
}

// errCursor refuses a cursor that is none of ours, or another list's.
var errCursor = postdate.Errorf(postdate.Invalid, "/cursor",
	"not the next_cursor of a page with these filters: start again without a cursor")

// seal says that token is ours, and of the tenant's list with p's filters. The
// engine takes what a token says as it is.
func (s *server) seal(tenant string, p ListDeliveriesParams, token []byte) []byte {
	p.Cursor, p.Limit = "", 0
	filters, err := json.Marshal(p)
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	mac := hmac.New(sha256.New, s.keyHash[:])
	fmt.Fprintf(mac, "cursor\n%s\n%s\n%s", tenant, filters, token)
	return mac.Sum(nil)[:sealSize]
}

const sealSize = 16

// cursor is the engine's page token, sealed.
func (s *server) cursor(tenant string, p ListDeliveriesParams, token []byte) string {
	if len(token) == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(s.seal(tenant, p, token), token...))
}

// openCursor is the inverse of cursor.
func (s *server) openCursor(tenant string, p ListDeliveriesParams) ([]byte, error) {
	if p.Cursor == "" {
		return nil, nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || len(sealed) <= sealSize {
		return nil, errCursor
	}
	token := sealed[sealSize:]
	if !hmac.Equal(sealed[:sealSize], s.seal(tenant, p, token)) {
		return nil, errCursor
	}
	return token, nil
}
