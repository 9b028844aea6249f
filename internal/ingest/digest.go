package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

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

// Sorted is data with the fields of its objects in order. Numbers stay as written.
func Sorted(data json.RawMessage) json.RawMessage {
	if data == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		panic(err) // it was valid JSON when the request was read
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// digestOf is the digest of a request to publish these events.
func digestOf(events ...postdate.Event) string {
	normalised := make([]postdate.Event, len(events))
	for i, event := range events {
		event.Data = Sorted(event.Data)
		if !event.Timestamp.IsZero() {
			event.Timestamp = event.Timestamp.UTC()
		}
		normalised[i] = event
	}
	return Digest(normalised)
}
