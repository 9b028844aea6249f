package apiserver

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// attributePrefix begins the headers that are attributes in the binary mode.
const attributePrefix = "Ce-"

// cloudEvent is a CloudEvent as it was read: its attributes by name, strings where
// CloudEvents itself defines them.
type cloudEvent struct {
	attributes map[string]any
	data       json.RawMessage
	// within is the pointer to it: of one in a batch, its place.
	within string
	faults []FieldError
}

// fault notes what is wrong with an attribute.
func (c *cloudEvent) fault(name, detail string) {
	c.faults = append(c.faults, FieldError{Pointer: c.within + pointer(name), Detail: detail})
}

// isFaulty reports whether a fault of an attribute is noted.
func (c *cloudEvent) isFaulty(name string) bool {
	at := c.within + pointer(name)
	return slices.ContainsFunc(c.faults, func(f FieldError) bool { return f.Pointer == at })
}

// structuredEvent reads the JSON format of CloudEvents.
func structuredEvent(body []byte, within string) (cloudEvent, error) {
	came := cloudEvent{attributes: make(map[string]any), within: within}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return came, postdate.Errorf(postdate.Invalid, within, "a CloudEvent is an object")
	}
	for name, text := range members {
		var value any
		switch err := json.Unmarshal(text, &value); {
		case name == "data":
			came.data = text
		case err != nil:
			came.fault(name, "is too large a number") // all else was read before
		case value != nil: // null stands for an attribute that is not there
			came.attributes[name] = value
		}
	}
	err := came.decode()
	return came, err
}

// decode makes JSON of data that came in base64, if it is.
func (c *cloudEvent) decode() error {
	const name = "data_base64"
	value, ok := c.attributes[name]
	if !ok {
		return nil
	}
	delete(c.attributes, name)
	text, _ := value.(string)
	data, err := base64.StdEncoding.DecodeString(text)
	switch {
	case c.data != nil:
		c.fault(name, "data and data_base64 exclude each other")
	case err != nil || text == "":
		c.fault(name, "is not base64")
	default:
		if err := checkData(data); err != nil {
			return postdate.Errorf(postdate.Invalid, c.within+"/"+name, "%s", err)
		}
		c.data = data
	}
	return nil
}

// isBinary reports whether attributes are among the headers.
func isBinary(header http.Header) bool {
	return header.Get(attributePrefix+"Specversion") != "" || header.Get(attributePrefix+"Id") != ""
}

// binaryEvent reads the binary mode of CloudEvents over HTTP.
func binaryEvent(header http.Header, body []byte) (cloudEvent, error) {
	came := cloudEvent{attributes: make(map[string]any)}
	for name, values := range header {
		attribute, ok := strings.CutPrefix(name, attributePrefix)
		if !ok {
			continue
		}
		attribute = strings.ToLower(attribute)
		text, err := unescape(values[0])
		switch {
		case len(values) > 1:
			came.fault(attribute, "appears twice")
		case err != nil:
			came.fault(attribute, err.Error())
		case attribute == "datacontenttype":
			came.fault(attribute, "is the header Content-Type in this mode")
		default:
			came.attributes[attribute] = text
		}
	}
	if len(body) == 0 {
		return came, nil
	}
	came.data = body
	media := header.Get(echo.HeaderContentType)
	if media == "" || !postdate.IsJSON(media) {
		return came, postdate.Errorf(unsupportedMediaType, "", "data must be JSON, and declared as it: Content-Type: application/json")
	}
	came.attributes["datacontenttype"] = media
	return came, checkData(body)
}

// quotedPair stands for the character after the backslash (RFC 9110 §5.6.4).
var quotedPair = regexp.MustCompile(`\\(.)`)

var errNotUTF8 = errors.New("is not valid UTF-8")

// unescape reads the value of a header as the HTTP binding of CloudEvents writes
// it (§3.1.3.2): percent-encoded, and by some in quotes.
func unescape(value string) (string, error) {
	if len(value) >= 2 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
		value = quotedPair.ReplaceAllString(value[1:len(value)-1], "$1")
	}
	if decoded, err := url.PathUnescape(value); err == nil {
		value = decoded
	} // else from somebody who does not encode
	if !utf8.ValidString(value) {
		return "", errNotUTF8
	}
	return value, nil
}

// event makes an event of c, whose attributes are of the types that CloudEvents
// give them.
func (c *cloudEvent) event() (postdate.Event, error) {
	known := map[string]string{
		"specversion": "", "id": "", "source": "", "type": "", "subject": "", "time": "", "datacontenttype": "", "dataschema": "",
	}
	extensions := make(map[string]any)
	for name, value := range c.attributes {
		_, ours := known[name]
		text, isText := value.(string)
		switch {
		case ours && !isText:
			c.fault(name, "must be a string")
		case ours && text == "":
			c.fault(name, "must not be empty")
		case ours:
			known[name] = text
		default:
			extensions[name] = value
		}
	}
	happened := c.checkKnown(known)
	if len(c.faults) > 0 {
		return postdate.Event{}, invalid(c.faults)
	}
	if media := known["datacontenttype"]; !postdate.IsJSON(media) {
		return postdate.Event{}, postdate.Errorf(unsupportedMediaType, c.within+"/datacontenttype", "data must be JSON: %q is not taken", media)
	}
	event := postdate.Event{
		ID: postdate.CloudEventID(known["source"], known["id"]), Type: known["type"], Entity: entityOf(known["subject"]),
		Timestamp: happened, Data: compact(c.data),
		CloudEvent: &postdate.CloudEvent{
			ID: known["id"], Source: known["source"], Subject: known["subject"], NoTime: happened == nil,
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

// checkKnown notes faults of the attributes that are not the event's as they are,
// and answers the time, where it has one.
func (c *cloudEvent) checkKnown(known map[string]string) *time.Time {
	for _, name := range []string{"id", "source", "type", "specversion"} {
		if _, there := c.attributes[name]; !there && !c.isFaulty(name) {
			c.fault(name, "is missing")
		}
	}
	if version := known["specversion"]; version != "" && version != "1.0" {
		c.fault("specversion", `must be "1.0"`)
	}
	text := known["time"]
	if text == "" {
		return nil
	}
	happened, err := parseTime(text)
	if err != nil {
		c.fault("time", err.Error())
	}
	return &happened
}

// locate says of a field of the event which attribute of c it is.
func (c *cloudEvent) locate(err error) error {
	told, ok := errors.AsType[*postdate.Error](err)
	if !ok {
		return err
	}
	at := strings.TrimPrefix(strings.TrimPrefix(told.Pointer, "/cloudevent"), "/extensions")
	return &postdate.Error{Code: told.Code, Pointer: c.within + at, Detail: told.Detail}
}

// entityOf is the entity that a subject stands for, if it can be one.
func entityOf(subject string) string {
	if (postdate.Event{Type: testType, Entity: subject}).Validate() != nil {
		return ""
	}
	return subject
}
