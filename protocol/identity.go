package protocol

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/postdate/postdate"
)

// KeyedGroup is the id of the group that an Idempotency-Key of a tenant stands for.
func KeyedGroup(tenant, key string) string { return hashedGroup(tenant, key) }

// ScheduledGroup is the id of the group that a schedule is published in when it is due.
// It is apart from the event that a caller may have given the same id.
func ScheduledGroup(tenant, id string) string { return hashedGroup(tenant, "\x00schedule", id) }

// hashedGroup hashes what has no line breaks, nor control characters: so what begins with
// one is no key.
func hashedGroup(parts ...string) string {
	hash := sha256.New()
	for n, part := range parts {
		if n > 0 {
			hash.Write([]byte("\n"))
		}
		hash.Write([]byte(part))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// Outgoing is the message as its receiver gets it. Receivers deduplicate by its id, and an
// endpoint may get a schedule and an event of the same: so the schedule's is preceded there
// by what no event's has.
func (s DeliveryTask) Outgoing() postdate.Message {
	m := s.Message
	if s.ID() == m.ID && s.To.Endpoint != "" && !s.Test {
		m.ID = "schedule/" + m.ID
	}
	return m
}
