package apiserver

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// The forms in which CloudEvents 1.0 come over HTTP, beside the binary one, whose
// attributes are headers.
const (
	mediaCloudEvent  = "application/cloudevents+json"
	mediaCloudEvents = "application/cloudevents-batch+json"
)

const (
	pathEvents, pathEventBatch = "/v1/events", "/v1/events/batch"
	// maxEvents bounds a batch.
	maxEvents = 100
)

// cloudEventsKey is where a request keeps the events that came as CloudEvents.
const cloudEventsKey = "postdate.cloudevents"

// cloudEventsServer publishes what came as CloudEvents, and leaves all else to
// the server that decodes our own form.
type cloudEventsServer struct {
	ServerInterface
	server *server
}

// PublishEvent publishes the event that the request carries.
func (s cloudEventsServer) PublishEvent(c echo.Context, params PublishEventParams) error {
	came, ok := c.Get(cloudEventsKey).([]incoming)
	if !ok {
		return s.ServerInterface.PublishEvent(c, params)
	}
	published, err := s.server.publish(c.Request().Context(), came[0], params.IdempotencyKey)
	if err != nil {
		return err
	}
	return PublishEvent202JSONResponse(published).VisitPublishEventResponse(c.Response())
}

// PublishEvents publishes the events that the request carries.
func (s cloudEventsServer) PublishEvents(c echo.Context, params PublishEventsParams) error {
	came, ok := c.Get(cloudEventsKey).([]incoming)
	if !ok {
		return s.ServerInterface.PublishEvents(c, params)
	}
	published, err := s.server.publishBatch(c.Request().Context(), came, params.IdempotencyKey)
	if err != nil {
		return err
	}
	return PublishEvents202JSONResponse(published).VisitPublishEventsResponse(c.Response())
}

// acceptCloudEvents reads the CloudEvents that a request carries, if it carries
// any. Their data stays as it is, byte for byte, which is why it is not for a
// library to read them.
func acceptCloudEvents(c echo.Context, op *operation) (accepted bool, err error) {
	if op.Method != http.MethodPost || op.Path != pathEvents && op.Path != pathEventBatch {
		return false, nil
	}
	var came []incoming
	switch media, single := mediaOf(c), op.Path == pathEvents; {
	case single && media == mediaCloudEvents:
		err = postdate.Errorf(unsupportedMediaType, "", "a batch of CloudEvents belongs to %s", pathEventBatch)
	case !single && media == mediaCloudEvent:
		err = postdate.Errorf(unsupportedMediaType, "", "a single CloudEvent belongs to %s", pathEvents)
	case media == mediaCloudEvent || media == mediaCloudEvents:
		came, err = structuredEvents(c, op, media)
	case single && isBinary(c.Request().Header):
		came, err = binaryEvents(c)
	default:
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.Set(cloudEventsKey, came)
	return true, nil
}

// structuredEvents reads the JSON format of CloudEvents: one, or a batch.
func structuredEvents(c echo.Context, op *operation, media string) ([]incoming, error) {
	body, err := readBody(c)
	if err != nil {
		return nil, err
	}
	if _, err := readDocument(body, op.schema(media)); err != nil {
		return nil, err
	}
	if media == mediaCloudEvent {
		return arrivals(structuredEvent(body, ""))
	}
	var texts []json.RawMessage
	switch {
	case json.Unmarshal(body, &texts) != nil || texts == nil:
		return nil, postdate.Errorf(postdate.Invalid, "", "a batch of CloudEvents is an array")
	case len(texts) > maxEvents:
		return nil, postdate.Errorf(postdate.Invalid, "", "has at most %d events", maxEvents)
	}
	all := make([]incoming, 0, len(texts))
	for place, text := range texts {
		one, err := arrivals(structuredEvent(text, "/"+strconv.Itoa(place)))
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

// binaryEvents reads the one event that the binary mode of CloudEvents carries.
func binaryEvents(c echo.Context) ([]incoming, error) {
	body, err := readBody(c)
	if err != nil {
		return nil, err
	}
	return arrivals(binaryEvent(c.Request().Header, body))
}

// arrivals makes an event of a CloudEvent that was read.
func arrivals(came cloudEvent, err error) ([]incoming, error) {
	if err != nil {
		return nil, err
	}
	event, err := came.event()
	if err != nil {
		return nil, err
	}
	return []incoming{{event: event, err: came.locate(event.Validate())}}, nil
}
