package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// The forms in which CloudEvents 1.0 come over HTTP, beside the binary one, whose
// attributes are headers.
const (
	mediaCloudEvent  = "application/cloudevents+json"
	mediaCloudEvents = "application/cloudevents-batch+json"

	attributePrefix = "Ce-"
)

// acceptCloudEvents makes of CloudEvents the events of our own that they are,
// before the request is held to the specification. Their data stays as it is,
// byte for byte, which is why it is not for a library to read them.
func (s *server) acceptCloudEvents(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op, ok := s.operation(c)
		if !ok || c.Request().Method != http.MethodPost {
			return next(c)
		}
		var err error
		switch op.Path {
		case "/v1/events":
			err = acceptCloudEvent(c)
		case "/v1/events/batch":
			err = acceptCloudEventBatch(c)
		}
		if err != nil {
			return err
		}
		return next(c)
	}
}

func acceptCloudEvent(c echo.Context) error {
	media := mediaOf(c)
	if media == mediaCloudEvents {
		return postdate.Errorf(unsupportedMediaType, "", "a batch of CloudEvents belongs to /v1/events/batch")
	}
	var came cloudEvent
	header := c.Request().Header
	switch {
	case media == mediaCloudEvent:
		body, err := readJSON(c)
		if err != nil {
			return err
		}
		if came, err = structuredEvent(body, ""); err != nil {
			return err
		}
	case header.Get(attributePrefix+"Specversion") != "" || header.Get(attributePrefix+"Id") != "":
		body, err := readWhole(c)
		if err != nil {
			return err
		}
		if came, err = binaryEvent(header, body); err != nil {
			return err
		}
	default:
		return nil
	}
	event, err := came.event()
	if err != nil {
		return err
	}
	return replaceBody(c, event)
}

func acceptCloudEventBatch(c echo.Context) error {
	switch mediaOf(c) {
	case mediaCloudEvent:
		return postdate.Errorf(unsupportedMediaType, "", "a single CloudEvent belongs to /v1/events")
	case mediaCloudEvents:
	default:
		return nil
	}
	body, err := readJSON(c)
	if err != nil {
		return err
	}
	var all []json.RawMessage
	if json.Unmarshal(body, &all) != nil {
		return postdate.Errorf(postdate.Invalid, "", "a batch of CloudEvents is an array")
	}
	batch := struct {
		Events []cloudEventAsEvent `json:"events"`
	}{Events: []cloudEventAsEvent{}}
	for place, text := range all {
		within := "/" + strconv.Itoa(place)
		came, err := structuredEvent(text, within)
		if err != nil {
			return err
		}
		event, err := came.event()
		if err != nil {
			return err
		}
		batch.Events = append(batch.Events, event)
	}
	return replaceBody(c, batch)
}

// mediaOf is the media type of the request's body, "" where it has none.
func mediaOf(c echo.Context) string {
	media, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType))
	if err != nil {
		return ""
	}
	return media
}

// replaceBody makes event the request's body.
func replaceBody(c echo.Context, event any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // data stays as it came
	if err := encoder.Encode(event); err != nil {
		return fmt.Errorf("write a CloudEvent as an event: %w", err)
	}
	r := c.Request()
	r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	return nil
}

// cloudEventAsEvent is a CloudEvent as a request to publish an event has it.
type cloudEventAsEvent struct {
	ID         string              `json:"id"`
	Type       string              `json:"type"`
	Entity     string              `json:"entity,omitempty"`
	Timestamp  string              `json:"timestamp,omitempty"`
	Data       json.RawMessage     `json:"data,omitempty"`
	CloudEvent postdate.CloudEvent `json:"cloudevent"`
}

// cloudEvent is one as it was read: its attributes by name, strings where
// CloudEvents itself defines them.
type cloudEvent struct {
	attributes map[string]any
	data       json.RawMessage
	// within is the pointer to it: of one in a batch, its place.
	within string
}

// event makes an event of c.
func (c cloudEvent) event() (cloudEventAsEvent, error) {
	extensions, faults := make(map[string]any), []FieldError(nil)
	known := map[string]string{
		"specversion": "", "id": "", "source": "", "type": "", "subject": "", "time": "", "datacontenttype": "", "dataschema": "",
	}
	for name, value := range c.attributes {
		_, ours := known[name]
		text, isText := value.(string)
		switch {
		case ours && isText:
			known[name] = text
		case ours:
			faults = append(faults, c.fault(name, "must be a string"))
		default:
			extensions[name] = value
		}
	}
	if len(faults) == 0 {
		faults = c.faults(known)
	}
	if len(faults) > 0 {
		return cloudEventAsEvent{}, invalid(faults)
	}
	if media := known["datacontenttype"]; !isJSON(media) {
		return cloudEventAsEvent{}, postdate.Errorf(unsupportedMediaType, c.within+"/datacontenttype", "data must be JSON: %q is not taken", media)
	}
	event := cloudEventAsEvent{
		ID: known["id"], Type: known["type"], Entity: entityOf(known["subject"]), Timestamp: known["time"], Data: c.data,
		CloudEvent: postdate.CloudEvent{
			Source: known["source"], Subject: known["subject"],
			DataSchema: known["dataschema"], DataContentType: known["datacontenttype"],
		},
	}
	if entity, ok := extensions["entity"].(string); ok {
		event.Entity = entity
	}
	if len(extensions) > 0 {
		event.CloudEvent.Extensions = extensions
	}
	return event, nil
}

// faults are those that would not be found in the event, or not by their names.
func (c cloudEvent) faults(known map[string]string) []FieldError {
	var faults []FieldError
	for _, name := range []string{"id", "source", "type"} {
		if known[name] == "" {
			faults = append(faults, c.fault(name, "is missing"))
		}
	}
	if known["specversion"] != "1.0" {
		faults = append(faults, c.fault("specversion", `must be "1.0"`))
	}
	if known["time"] != "" {
		if err := isTime(known["time"]); err != nil {
			faults = append(faults, c.fault("time", err.Error()))
		}
	}
	return faults
}

func (c cloudEvent) fault(name, detail string) FieldError {
	return FieldError{Pointer: c.within + pointer(name), Detail: detail}
}

// entityOf is the entity that a subject stands for, if it can be one.
func entityOf(subject string) string {
	if (postdate.Event{Type: testType, Entity: subject}).Validate() != nil {
		return ""
	}
	return subject
}

// isJSON tells whether data of that media type is JSON. JSON is what none says.
func isJSON(media string) bool {
	if media == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(media)
	return err == nil && (media == echo.MIMEApplicationJSON || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// structuredEvent reads the JSON format of CloudEvents.
func structuredEvent(body []byte, within string) (cloudEvent, error) {
	came := cloudEvent{attributes: make(map[string]any), within: within}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return came, postdate.Errorf(postdate.Invalid, within, "a CloudEvent is an object")
	}
	if _, binary := members["data_base64"]; binary {
		return came, postdate.Errorf(postdate.Invalid, within+"/data_base64", "data must be JSON, in the member data")
	}
	came.data = members["data"]
	delete(members, "data")
	for name, text := range members {
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			return came, errors.Join(postdate.Errorf(postdate.Invalid, within+pointer(name), "cannot be read"), err)
		}
		if value != nil { // null stands for an attribute that is not there
			came.attributes[name] = value
		}
	}
	return came, nil
}

// binaryEvent reads the binary mode of CloudEvents over HTTP.
func binaryEvent(header http.Header, body []byte) (cloudEvent, error) {
	came := cloudEvent{attributes: make(map[string]any)}
	for name, values := range header {
		if attribute, ok := strings.CutPrefix(name, attributePrefix); ok {
			came.attributes[strings.ToLower(attribute)] = unescape(values[0])
		}
	}
	if len(body) == 0 {
		return came, nil
	}
	came.data = body
	media := header.Get(echo.HeaderContentType)
	if media == "" || !isJSON(media) {
		return came, postdate.Errorf(unsupportedMediaType, "", "data must be JSON, and declared as it: Content-Type: application/json")
	}
	came.attributes["datacontenttype"] = media
	return came, checkJSON(body)
}

// quotedPair stands for the character after the backslash (RFC 9110 §5.6.4).
var quotedPair = regexp.MustCompile(`\\(.)`)

// unescape reads the value of a header as the HTTP binding of CloudEvents writes
// it (§3.1.3.2): percent-encoded, and by some in quotes.
func unescape(value string) string {
	if len(value) >= 2 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
		value = quotedPair.ReplaceAllString(value[1:len(value)-1], "$1")
	}
	if decoded, err := url.PathUnescape(value); err == nil {
		return decoded
	}
	return value // from somebody who does not encode
}
