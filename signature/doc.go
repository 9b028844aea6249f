// Package signature signs and verifies messages as Standard Webhooks 1.0 lays
// down: by HMAC-SHA256 with a secret that both sides share ("v1"), or by ed25519
// with a key whose public half alone the receiver has ("v1a"). It stands on the
// standard library alone.
//
// The specification: https://www.standardwebhooks.com
package signature

// The headers of a signed message.
const (
	// HeaderID carries the id of the message: the same on every attempt, so
	// that a receiver knows a message that it has seen before.
	HeaderID = "webhook-id"
	// HeaderTimestamp carries when the attempt was made, in seconds since 1970.
	HeaderTimestamp = "webhook-timestamp"
	// HeaderSignature carries the signatures, separated by spaces: several while
	// one secret takes over from another.
	HeaderSignature = "webhook-signature"
)
