// Package cloudevent writes messages as CloudEvents 1.0: as the JSON document of the
// structured mode, or as the attributes that each protocol's binding puts into headers.
package cloudevent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/postdate/postdate"
)

// StructuredType is the media type of the structured mode's document.
const StructuredType = "application/cloudevents+json"

// Structured is m as the JSON document that the CloudEvents JSON format lays down.
func Structured(m postdate.Message) []byte {
	body := make([]byte, 0, len(m.Data)+256)
	for _, a := range Attributes(m) {
		body = append(body, ',', '"')
		body = append(body, a.Name...)
		body = append(body, '"', ':')
		if a.Literal {
			body = append(body, a.Value...)
		} else {
			body = AppendString(body, a.Value)
		}
	}
	if len(m.Data) > 0 {
		body = append(body, `,"datacontenttype":`...)
		body = AppendString(body, ContentType(m))
		body = appendData(body, m)
	}
	body[0] = '{' // in place of the first comma
	return append(body, '}')
}

// ContentType is the media type of m's data.
func ContentType(m postdate.Message) string {
	if m.Inbound != nil {
		return cmp.Or(m.Inbound.ContentType, "application/octet-stream")
	}
	if m.CloudEvent == nil {
		return "application/json"
	}
	return cmp.Or(m.CloudEvent.DataContentType, "application/json")
}

// Attribute is one of a CloudEvent's context attributes: its value is a string,
// or literal the JSON of a number or of a boolean.
type Attribute struct {
	Name, Value string
	Literal     bool
}

// Attributes are those of m as a CloudEvent, but for the datacontenttype: the
// same on every attempt, and in the same order.
func Attributes(m postdate.Message) []Attribute {
	var came postdate.CloudEvent
	if m.CloudEvent != nil {
		came = *m.CloudEvent
	}
	all := make([]Attribute, 0, 7+len(came.Extensions))
	all = append(all,
		Attribute{Name: "specversion", Value: "1.0"},
		Attribute{Name: "id", Value: cmp.Or(came.ID, m.ID)},
		Attribute{Name: "source", Value: cmp.Or(came.Source, "/postdate/"+m.Tenant)},
		Attribute{Name: "type", Value: m.Type},
	)
	if !came.NoTime {
		all = append(all, Attribute{Name: "time", Value: m.Timestamp.UTC().Format(time.RFC3339Nano)})
	}
	subject := came.Subject
	if m.CloudEvent == nil {
		subject = m.Entity
	}
	if subject != "" {
		all = append(all, Attribute{Name: "subject", Value: subject})
	}
	if came.DataSchema != "" {
		all = append(all, Attribute{Name: "dataschema", Value: came.DataSchema})
	}
	for _, name := range slices.Sorted(maps.Keys(came.Extensions)) {
		all = append(all, extension(name, came.Extensions[name]))
	}
	return all
}

func extension(name string, value any) Attribute {
	if text, ok := value.(string); ok {
		return Attribute{Name: name, Value: text}
	}
	literal, _ := json.Marshal(value) //nolint:errchkjson // a number or a boolean, from JSON: it cannot fail
	return Attribute{Name: name, Value: string(literal), Literal: true}
}

// PercentEncode writes value as a header of HTTP's binary mode may carry it
// (CloudEvents HTTP binding §3.1.3.2).
func PercentEncode(value string) string {
	const hex = "0123456789ABCDEF"
	encoded := make([]byte, 0, len(value))
	for i := range len(value) {
		switch c := value[i]; {
		case c <= ' ', c > '~', c == '"', c == '%':
			encoded = append(encoded, '%', hex[c>>4], hex[c&15])
		default:
			encoded = append(encoded, c)
		}
	}
	return string(encoded)
}

// AppendString appends text as a JSON string. What is meant for HTML only, the
// escaping of <, > and &, is left out.
func AppendString(to []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(to, text)
		}
	}
	to = append(to, '"')
	to = append(to, text...)
	return append(to, '"')
}

func appendEscaped(to []byte, text string) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) //nolint:errchkjson // a string, into memory: it cannot fail
	return append(to, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))...)
}
