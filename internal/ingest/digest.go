package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/postdate/postdate"
)

// Digest is the same for equal bodies. What callers may write in different ways is to be
// normalised first: see [Sorted].
func Digest(body any) string {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Sorted is data with the fields of its objects in order. Numbers stay as written. Data
// that no decoder takes is the JSON string of its bytes.
func Sorted(data []byte) json.RawMessage {
	if data == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		value = data
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	return text
}

// normalised is an event as its digest is made.
type normalised struct {
	ID         string               `json:"id,omitempty"`
	Type       string               `json:"type"`
	Entity     string               `json:"entity,omitempty"`
	Data       json.RawMessage      `json:"data,omitempty"`
	Timestamp  *time.Time           `json:"timestamp,omitempty"`
	CloudEvent *postdate.CloudEvent `json:"cloudevent,omitempty"`
}

// digestOf is the digest of a request to publish these events.
func digestOf(events ...postdate.Event) string {
	all := make([]normalised, len(events))
	for i, event := range events {
		all[i] = normalised{
			ID: event.ID, Type: event.Type, Entity: event.Entity, Data: Sorted(event.Data),
			CloudEvent: event.CloudEvent,
		}
		if event.Timestamp != nil {
			all[i].Timestamp = new(event.Timestamp.UTC())
		}
	}
	return Digest(all)
}
