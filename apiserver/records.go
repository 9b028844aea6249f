package apiserver

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/propagation"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/protocol"
)

// headerDueAt is the header of a record that makes a schedule of an event.
const headerDueAt = "postdate-due-at"

// Records reads what records of streams hold: events and schedules, by the rules of the
// requests that publish and create them.
type Records struct {
	server                        *server
	eventSchema, cloudEventSchema *openapi3.Schema
}

// NewRecords needs of c what requests are judged by: Tenants, Streams, AllowHTTP, CheckURL.
func NewRecords(c Config) (*Records, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Streams == nil {
		c.Streams = &streams.Streams{}
	}
	operations, err := loadOperations()
	if err != nil {
		return nil, err
	}
	events := operations[route{http.MethodPost, pathEvents}]
	return &Records{
		server: &server{
			Config: c, operations: operations,
			scheduleSchema: operations[route{http.MethodPost, pathSchedules}].schema(echo.MIMEApplicationJSON),
		},
		eventSchema:      events.schema(echo.MIMEApplicationJSON),
		cloudEventSchema: events.schema(mediaCloudEvent),
	}, nil
}

// ReadRecord reads what a record of a tenant holds: a CloudEvent in binary or in structured
// mode, or Postdate's own JSON of an event or of a schedule. share: a CloudEvent is not named
// by its source and id. A [streams.RejectedError] says that it can never be taken.
func (r *Records) ReadRecord(ctx context.Context, tenant string, record streams.Incoming, share bool) (ingest.Arrival, error) {
	ctx = context.WithValue(ctx, callerKey{}, caller{tenant: tenant})
	ctx = traceContext.Extract(ctx, propagation.MapCarrier{"traceparent": record.Header("traceparent")})
	arrival, err := r.read(ctx, record, share)
	if err != nil {
		return arrival, rejectionOf(err)
	}
	arrival.Tenant, arrival.TraceParent = tenant, traceParent(ctx)
	return arrival, nil
}

// rejectionOf is err as a rejection, unless it may pass.
func rejectionOf(err error) error {
	p := problemOf(err)
	if status := statusOf[p.Code]; status == 0 || status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return err
	}
	reason := p.Detail
	if len(p.Errors) > 1 {
		faults := make([]string, min(len(p.Errors), 5))
		for n := range faults {
			faults[n] = p.Errors[n].Pointer + ": " + p.Errors[n].Detail
		}
		reason = strings.Join(faults, "; ")
	}
	return &streams.RejectedError{Code: p.Code, Reason: reason}
}

func (r *Records) read(ctx context.Context, record streams.Incoming, share bool) (ingest.Arrival, error) {
	if len(record.Body) > maxBody {
		return ingest.Arrival{}, errTooLarge(maxBody)
	}
	due, err := dueAt(record)
	if err != nil {
		return ingest.Arrival{}, err
	}
	var members map[string]json.RawMessage // nil where it is no object, which is found out below
	media, _, _ := mime.ParseMediaType(record.ContentType)
	isBinary := record.Attributes["specversion"] != nil || record.Attributes["id"] != nil
	if !isBinary {
		_ = json.Unmarshal(record.Body, &members)
	}
	var came []incoming
	switch {
	case media == mediaCloudEvents:
		return ingest.Arrival{}, postdate.Errorf(unsupportedMediaType, "", "a record holds one CloudEvent, and no batch")
	case media == mediaCloudEvent || media == "application/cloudevents" || members["specversion"] != nil:
		if _, err := readDocument(record.Body, r.cloudEventSchema); err != nil {
			return ingest.Arrival{}, err
		}
		came, err = arrivals(structuredEvent(record.Body, ""))
	case isBinary:
		came, err = arrivals(binaryRecord(record))
	case due != nil || isSchedule(members):
		return r.schedule(ctx, record, due)
	default:
		event, err := r.event(record.Body)
		if event.ID == "" && record.MessageID != "" {
			event.ID = nameOf(record.MessageID)
		}
		return ingest.Arrival{Event: &event}, err
	}
	if err == nil {
		err = came[0].err
	}
	if err != nil {
		return ingest.Arrival{}, err
	}
	event := came[0].event
	if due != nil {
		return r.scheduleEvent(ctx, event, *due, share)
	}
	if share {
		event.ID = ""
	}
	return ingest.Arrival{Event: &event}, nil
}

// dueAt is when an event is to be published, if a header says so.
func dueAt(record streams.Incoming) (*time.Time, error) {
	text := record.Header(headerDueAt)
	if text == "" {
		return nil, nil //nolint:nilnil // most records have no such header
	}
	due, err := parseTime(text)
	if err != nil {
		return nil, postdate.Errorf(postdate.Invalid, "", "the header %s: %s", headerDueAt, err)
	}
	return &due, nil
}

// nameOf is the id for a message that its broker knows by that id.
func nameOf(messageID string) string {
	if (postdate.Event{ID: messageID, Type: testType}).Validate() == nil {
		return messageID
	}
	sum := hash("message\n" + messageID)
	return "msg_" + hex.EncodeToString(sum[:16])
}

// isSchedule reports whether an object has a member that only schedules have.
func isSchedule(members map[string]json.RawMessage) bool {
	for _, name := range []string{"due_at", "delay", "due_at_local", "to", "recurrence"} {
		if members[name] != nil {
			return true
		}
	}
	return false
}

// event reads Postdate's own JSON of an event.
func (r *Records) event(text []byte) (postdate.Event, error) {
	form, err := readDocument(text, r.eventSchema)
	if err == nil {
		err = validateForm(form, r.eventSchema)
	}
	var body Event
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		return postdate.Event{}, err
	}
	event := eventOf(body)
	return event, event.Validate()
}

// schedule reads Postdate's own JSON of a schedule.
func (r *Records) schedule(ctx context.Context, record streams.Incoming, due *time.Time) (ingest.Arrival, error) {
	read := r.server.readSchedule(record.Body)
	body := read.body
	switch {
	case read.err != nil:
		return ingest.Arrival{}, read.err
	case body.Recurrence != nil:
		return ingest.Arrival{}, postdate.Errorf(postdate.Invalid, "/recurrence", "a record holds a schedule that is due once")
	case due != nil && body.DueAt == nil && body.Delay == nil && body.DueAtLocal == "":
		body.DueAt = due
	}
	if body.ID == "" && record.MessageID != "" {
		body.ID = nameOf(record.MessageID)
	}
	now := r.server.Now().UTC()
	schedule := scheduleOf(tenantOf(ctx), body)
	accepted := protocol.Accepted{Digest: digest(body), To: schedule.To, At: now}
	named := schedule.ID != ""
	if !named {
		schedule.ID = newScheduleID(tenantOf(ctx), "") // for its checks: it gets one that can be repeated
	}
	local, err := localDue(body, &schedule)
	if err == nil {
		err = r.server.acceptSchedule(ctx, &schedule, now)
	}
	if err != nil {
		return ingest.Arrival{}, err
	}
	in := deliverInput(ctx, schedule, now)
	in.Local = local
	return ingest.Arrival{Schedule: ingest.Unnamed{Input: in, Accepted: accepted}, Named: named}, nil
}

// scheduleEvent makes a schedule of a CloudEvent, which is published when it is due. It has an
// id that follows from the CloudEvent's source and id, unless it shares executions.
func (r *Records) scheduleEvent(ctx context.Context, event postdate.Event, due time.Time, share bool) (ingest.Arrival, error) {
	now := r.server.Now().UTC()
	came := *event.CloudEvent
	schedule := postdate.Schedule{
		Tenant: tenantOf(ctx), ID: newScheduleID(tenantOf(ctx), "cloudevent\n"+came.Source+"\n"+came.ID),
		Entity: event.Entity, Type: event.Type, Data: event.Data, DueAt: &due,
	}
	if err := r.server.acceptSchedule(ctx, &schedule, now); err != nil {
		return ingest.Arrival{}, err
	}
	in := deliverInput(ctx, schedule, now)
	in.Shipment.Message.CloudEvent = &came
	event.Data = ingest.Sorted(event.Data)
	accepted := protocol.Accepted{At: now, Digest: ingest.Digest(struct {
		Due   time.Time
		Event postdate.Event
	}{due.UTC(), event})}
	return ingest.Arrival{Schedule: ingest.Unnamed{Input: in, Accepted: accepted}, Named: !share}, nil
}

// binaryRecord reads the binary mode of CloudEvents. Data without a media type are JSON.
func binaryRecord(record streams.Incoming) (cloudEvent, error) {
	came := cloudEvent{attributes: maps.Clone(record.Attributes)}
	if record.ContentType != "" {
		came.attributes["datacontenttype"] = record.ContentType
	}
	if len(record.Body) == 0 {
		delete(came.attributes, "datacontenttype")
		return came, nil
	}
	media, isText := came.attributes["datacontenttype"].(string)
	if isText && !postdate.IsJSON(media) {
		return came, postdate.Errorf(unsupportedMediaType, "", "data must be JSON: %q is not taken", strings.ToValidUTF8(media, "?"))
	}
	came.data = record.Body
	return came, checkData(record.Body)
}
