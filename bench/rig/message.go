package rig

import (
	"fmt"
	"strconv"
	"time"
)

// Message is one message of a scenario: when it was to happen, and when it did.
type Message struct {
	ID, Entity string
	URL        string
	Due        time.Time // zero: at once
	// Sent is when its request began or, at a fixed pace, when it was to begin:
	// a bench that falls behind must not hide it.
	Sent, Accepted time.Time
	Received       time.Time // zero: not yet, or never
	Copies         int       // how often it arrived
}

func (m *Message) String() string { return m.ID }

// Entities is how many customers the messages are spread over.
const Entities = 1000

// NewMessages makes n messages to url.
func NewMessages(n int, prefix, url string, due time.Time) []*Message {
	messages := make([]*Message, n)
	for i := range messages {
		messages[i] = &Message{
			ID:     fmt.Sprintf("%s-%d", prefix, i),
			Entity: fmt.Sprintf("%s_customer_%d", prefix, i%Entities),
			URL:    url,
			Due:    due,
		}
	}
	return messages
}

// PerEndpoint returns one message for each event and endpoint, named as the receiver
// names what arrives at the paths 0, 1, 2 and so on.
func PerEndpoint(events []*Message, endpoints int) []*Message {
	deliveries := make([]*Message, 0, len(events)*endpoints)
	for _, event := range events {
		for i := range endpoints {
			delivery := *event
			delivery.ID = event.ID + "/" + strconv.Itoa(i)
			deliveries = append(deliveries, &delivery)
		}
	}
	return deliveries
}

// LastReceived returns when the last of messages arrived.
func LastReceived(messages []*Message) time.Time {
	var last time.Time
	for _, m := range messages {
		if m.Received.After(last) {
			last = m.Received
		}
	}
	return last
}

// In returns the time in d, in whole milliseconds: what a caller would write.
func In(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond) }
