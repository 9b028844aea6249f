package webhook

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/postdate/postdate"
)

var structuredHeaders = http.Header{"Content-Type": {"application/cloudevents+json"}}

// structured is m as the JSON document that the CloudEvents JSON format lays down.
func structured(m postdate.Message) []byte {
	body := make([]byte, 0, len(m.Data)+256)
	for _, a := range attributes(m) {
		body = append(body, ',', '"')
		body = append(body, a.name...)
		body = append(body, '"', ':')
		if a.literal {
			body = append(body, a.value...)
		} else {
			body = appendString(body, a.value)
		}
	}
	if len(m.Data) > 0 {
		body = append(body, `,"datacontenttype":`...)
		body = appendString(body, contentType(m))
		body = append(body, `,"data":`...)
		body = append(body, m.Data...)
	}
	body[0] = '{' // in place of the first comma
	return append(body, '}')
}

// binaryHeaders are m's attributes as the CloudEvents HTTP binding lays down for
// its binary mode. The signature does not cover them, but for the id.
func binaryHeaders(m postdate.Message) http.Header {
	headers := http.Header{}
	for _, a := range attributes(m) {
		headers.Set("Ce-"+a.name, percentEncode(a.value))
	}
	if len(m.Data) > 0 {
		headers.Set("Content-Type", contentType(m))
	}
	return headers
}

// contentType is the media type of m's data.
func contentType(m postdate.Message) string {
	if m.CloudEvent == nil {
		return "application/json"
	}
	return cmp.Or(m.CloudEvent.DataContentType, "application/json")
}

// contextAttribute is one of a CloudEvent's context attributes: its value is a string,
// or literal the JSON of a number or of a boolean.
type contextAttribute struct {
	name, value string
	literal     bool
}

// attributes are those of m as a CloudEvent, but for the datacontenttype: the
// same on every attempt, and in the same order.
func attributes(m postdate.Message) []contextAttribute {
	var came postdate.CloudEvent
	if m.CloudEvent != nil {
		came = *m.CloudEvent
	}
	all := make([]contextAttribute, 0, 7+len(came.Extensions))
	all = append(all,
		contextAttribute{name: "specversion", value: "1.0"},
		contextAttribute{name: "id", value: cmp.Or(came.ID, m.ID)},
		contextAttribute{name: "source", value: cmp.Or(came.Source, "/postdate/"+m.Tenant)},
		contextAttribute{name: "type", value: m.Type},
	)
	if !came.NoTime {
		all = append(all, contextAttribute{name: "time", value: m.Timestamp.UTC().Format(time.RFC3339Nano)})
	}
	subject := came.Subject
	if m.CloudEvent == nil {
		subject = m.Entity
	}
	if subject != "" {
		all = append(all, contextAttribute{name: "subject", value: subject})
	}
	if came.DataSchema != "" {
		all = append(all, contextAttribute{name: "dataschema", value: came.DataSchema})
	}
	for _, name := range slices.Sorted(maps.Keys(came.Extensions)) {
		all = append(all, extension(name, came.Extensions[name]))
	}
	return all
}

func extension(name string, value any) contextAttribute {
	if text, ok := value.(string); ok {
		return contextAttribute{name: name, value: text}
	}
	literal, _ := json.Marshal(value) //nolint:errchkjson // a number or a boolean, from JSON: it cannot fail
	return contextAttribute{name: name, value: string(literal), literal: true}
}

// percentEncode writes value as a header of the binary mode may carry it
// (CloudEvents HTTP binding §3.1.3.2).
func percentEncode(value string) string {
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
