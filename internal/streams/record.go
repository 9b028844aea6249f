package streams

import (
	"cmp"
	"strconv"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/cloudevent"
)

// Record is a message as a broker gets it.
type Record struct {
	// ID is the same on every attempt, and no other delivery of any tenant has it.
	ID string
	// MessageID is the message's own id.
	MessageID string
	// Key orders records: what has the same key keeps its order where the broker has
	// partitions.
	Key string
	// Attributes are the CloudEvent's, to be written as the broker's binding says. There are
	// none in structured mode, whose body holds them.
	Attributes []cloudevent.Attribute
	// Headers are sent as they are.
	Headers []Header
	// ContentType is the media type of Body: empty where there is no data.
	ContentType string
	Body        []byte
	// ExpiresAt is when the record is of no use any more. Zero: never.
	ExpiresAt time.Time
}

// Header is a name and its value.
type Header struct{ Name, Value string }

// Size is about how many bytes r takes on the wire.
func (r Record) Size() int {
	size := len(r.Body) + len(r.Key) + len(r.ID) + len(r.ContentType)
	for _, a := range r.Attributes {
		size += len(a.Name) + len(a.Value)
	}
	for _, h := range r.Headers {
		size += len(h.Name) + len(h.Value)
	}
	return size
}

// The headers that every record has beside the attributes of CloudEvents.
const (
	headerID          = "webhook-id"
	headerTraceParent = "traceparent"
	headerTick        = "postdate-tick"
	headerNominalTime = "postdate-nominal-time"
)

// keyIn is the key that the data of m have, where the endpoint says.
func keyIn(m postdate.Message, to postdate.Target) string {
	if to.Key == "" {
		return ""
	}
	return postdate.KeyIn(m.Data, to.Key)
}

// newRecord is m in the form that its target asks for.
func newRecord(m postdate.Message, to postdate.Target, traceParent string) Record {
	r := Record{
		ID:        m.Tenant + "/" + cmp.Or(to.DeliveryID, m.ID),
		MessageID: m.ID,
		Key:       cmp.Or(keyIn(m, to), m.Entity, m.ID),
		Headers:   []Header{{headerID, m.ID}, {headerTraceParent, traceParent}},
		ExpiresAt: to.ExpiresAt,
	}
	if tick := m.Tick; tick != nil {
		r.Headers = append(r.Headers, Header{headerNominalTime, tick.NominalTime.UTC().Format(time.RFC3339)})
		if tick.Number > 0 {
			r.Headers = append(r.Headers, Header{headerTick, strconv.Itoa(tick.Number)})
		}
	}
	r.Headers = append(r.Headers, inboundHeaders(m)...)
	for name, value := range to.Headers {
		r.Headers = append(r.Headers, Header{name, value.Reveal()})
	}
	if to.Mode == postdate.CloudEventsStructured {
		r.ContentType, r.Body = cloudevent.StructuredType, cloudevent.Structured(m)
		return r
	}
	r.Attributes, r.Body = cloudevent.Attributes(m), cloudevent.Data(m)
	if len(m.Data) > 0 {
		r.ContentType = cloudevent.ContentType(m)
	}
	return r
}
