package protocol

import (
	"crypto/sha256"
	"encoding/hex"
)

// KeyedGroup is the id of the group that an Idempotency-Key of a tenant stands for.
func KeyedGroup(tenant, key string) string { return hashedGroup(tenant, key) }

// ScheduledGroup is the id of the group that a schedule is published in when it is due,
// where an event has its id already.
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
