package postdate

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"mime"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CloudEvent holds the attributes of a CloudEvent (CloudEvents 1.0) that [Event] has no
// field for, so that it is delivered as it was published.
type CloudEvent struct {
	// ID is its own id: see [CloudEventID]. Empty: the event's.
	ID     string `json:"id,omitempty"`
	Source string `json:"source"`
	// NoTime: it was published without a time, and is delivered without one.
	NoTime     bool   `json:"no_time,omitempty"`
	Subject    string `json:"subject,omitempty"`
	DataSchema string `json:"dataschema,omitempty"`
	// DataContentType is the media type of the data: one of JSON's. Empty:
	// application/json.
	DataContentType string `json:"datacontenttype,omitempty"`
	// Extensions are strings, booleans or whole numbers of 32 bits, by their
	// lower-case names.
	Extensions map[string]any `json:"extensions,omitempty"`
}

const (
	maxAttribute  = 512 // characters
	maxMediaType  = 128
	maxExtensions = 50
)

var (
	extensionPattern = regexp.MustCompile(`^[a-z0-9]{1,64}$`)
	mediaTypePattern = regexp.MustCompile(`^[\x20-\x7e]*$`)
	// attributeNames are those of CloudEvents itself.
	attributeNames = map[string]bool{
		"specversion": true, "id": true, "source": true, "type": true, "subject": true, "time": true,
		"datacontenttype": true, "dataschema": true, "data": true, "data_base64": true,
	}
)

// CloudEventID is the id of the event for a CloudEvent, derived from its source and its id:
// together they identify it, and two sources may use the same id. Receivers of CloudEvents
// get the CloudEvent's own id.
func CloudEventID(source, id string) string {
	sum := sha256.Sum256([]byte("cloudevent\n" + source + "\n" + id))
	return GroupedID(hex.EncodeToString(sum[:16]), 0)
}

// Validate reports the first reason why c cannot be delivered as a CloudEvent.
func (c CloudEvent) Validate() error {
	const within = "/cloudevent"
	if c.Source == "" {
		return Errorf(Invalid, within+"/source", "is missing")
	}
	for _, attribute := range []struct {
		name, value string
		most        int
	}{
		{"id", c.ID, maxAttribute},
		{"source", c.Source, maxAttribute},
		{"subject", c.Subject, maxAttribute},
		{"dataschema", c.DataSchema, maxAttribute},
		{"datacontenttype", c.DataContentType, maxMediaType},
	} {
		if utf8.RuneCountInString(attribute.value) > attribute.most {
			return Errorf(Invalid, within+"/"+attribute.name, "has at most %d characters", attribute.most)
		}
		if err := validateAttribute(within+"/"+attribute.name, attribute.value); err != nil {
			return err
		}
	}
	if !IsJSON(c.DataContentType) {
		return Errorf(Invalid, within+"/datacontenttype", "data must be JSON: %q is not taken", c.DataContentType)
	}
	return c.validateExtensions(within + "/extensions")
}

func (c CloudEvent) validateExtensions(within string) error {
	if len(c.Extensions) > maxExtensions {
		return Errorf(Invalid, within, "at most %d extensions", maxExtensions)
	}
	for name, value := range c.Extensions {
		pointer := member(within, name)
		if !extensionPattern.MatchString(name) || attributeNames[name] {
			return Errorf(Invalid, pointer, "not the name of an extension: a-z 0-9, at most 64, and no attribute's")
		}
		switch value := value.(type) {
		case bool:
		case string:
			if err := validateAttribute(pointer, value); err != nil {
				return err
			}
		case float64:
			if value != math.Trunc(value) || value < math.MinInt32 || value > math.MaxInt32 {
				return Errorf(Invalid, pointer, "a number is a whole one of 32 bits: write others as strings")
			}
		default:
			return Errorf(Invalid, pointer, "a string, a boolean or a whole number")
		}
	}
	return nil
}

// validateAttribute checks that text is a string that CloudEvents allow: valid UTF-8 without
// control characters and noncharacters.
func validateAttribute(pointer, text string) error {
	if !utf8.ValidString(text) {
		return Errorf(Invalid, pointer, "is not valid UTF-8")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Noncharacter_Code_Point) }) {
		return Errorf(Invalid, pointer, "holds control characters, which CloudEvents do not allow")
	}
	return nil
}

// IsJSON reports whether data of that media type is JSON. An empty media type means JSON.
func IsJSON(media string) bool {
	if media == "" {
		return true
	}
	base, _, err := mime.ParseMediaType(media)
	return err == nil && mediaTypePattern.MatchString(media) &&
		(base == "application/json" || base == "text/json" || strings.HasSuffix(base, "+json"))
}
