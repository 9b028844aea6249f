package rig

import (
	"context"
	"time"
)

// The topics that each broker has: one to which messages come, and one from which they are
// taken.
const (
	TopicOut = "out"
	TopicIn  = "in"
	// Group is the consumer group, or the durable consumer, of TopicIn.
	Group = "postdate"
)

// Broker is a broker in this process, on a port of its own.
type Broker interface {
	Address() string
	// Write stores records in TopicIn, and returns once all of them are.
	Write(ctx context.Context, records ...Record) error
	// Read calls take for each record of TopicOut, until Stop.
	Read(ctx context.Context, take func(Record)) error
	Stop()
}

// Record is what a broker carries.
type Record struct {
	Headers map[string]string
	Body    []byte
}

// Topic is the side of a broker to which messages come.
type Topic struct {
	*inbox
	Broker
}

// ReadTopic notes what arrives in the broker's TopicOut. nameOf says which message a record
// is.
func ReadTopic(ctx context.Context, b Broker, nameOf func(Record) string) (Topic, error) {
	t := Topic{newInbox(), b}
	return t, b.Read(ctx, func(r Record) {
		t.arrive(nameOf(r), time.Now())
		t.wake()
	})
}

// Wait returns when n different messages have arrived. It fails when the last of them was
// due and nothing has arrived for a while: then some are lost.
func (t Topic) Wait(ctx context.Context, n int, due time.Time) error {
	return t.wait(ctx, n, due, stall)
}
