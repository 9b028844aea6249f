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

// attributePrefix is the prefix of the headers that carry attributes in binary mode.
const attributePrefix = "Ce-"

// cloudEvent is a CloudEvent as it was read.
type cloudEvent struct {
	// attributes are values by name: strings where CloudEvents defines them.
	attributes map[string]any
	data       json.RawMessage
	// within is the pointer to the event in the request: "" of a single one.
	within string
	faults []FieldError
}

// fault adds what is wrong with an attribute to the faults.
func (c *cloudEvent) fault(name, detail string) {
	c.faults = append(c.faults, FieldError{Pointer: c.within + pointer(name), Detail: detail})
}

// isFaulty reports whether an attribute has a fault.
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
			came.fault(name, "is too large a number") // the document was parsed before
		case value != nil: // null means that the attribute is absent
			came.attributes[name] = value
		}
	}
	err := came.decode()
	return came, err
}

// decode replaces data in base64 by the JSON that it encodes.
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

// isBinary reports whether the headers hold attributes.
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
	} // else the sender does not percent-encode
	if !utf8.ValidString(value) {
		return "", errNotUTF8
	}
	return value, nil
}

// event converts c to an event, or reports the attributes that are missing or of a
// wrong type.
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

// checkKnown adds the faults of the attributes that CloudEvents defines, and returns the
// time: nil if c has none.
func (c *cloudEvent) checkKnown(known map[string]string) *time.Time {
	for _, name := range []string{"id", "source", "type", "specversion"} {
		if _, present := c.attributes[name]; !present && !c.isFaulty(name) {
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

// locate points an error about a field of the event to the attribute of c.
func (c *cloudEvent) locate(err error) error {
	refusal, ok := errors.AsType[*postdate.Error](err)
	if !ok {
		return err
	}
	at := strings.TrimPrefix(strings.TrimPrefix(refusal.Pointer, "/cloudevent"), "/extensions")
	return &postdate.Error{Code: refusal.Code, Pointer: c.within + at, Detail: refusal.Detail}
}

// entityOf is the entity for a subject: "" if the subject is not a valid one.
func entityOf(subject string) string {
	if (postdate.Event{Type: testType, Entity: subject}).Validate() != nil {
		return ""
	}
	return subject
}
