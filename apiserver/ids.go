package apiserver

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/postdate/postdate"
)

// timedID is a new id, in order of time: 32 characters.
func timedID() string { return strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", "") }

// newScheduleID makes an id: a new one, in order of time, or the one that the tenant's
// idempotency key always makes.
func newScheduleID(tenant, key string) string {
	if key != "" {
		sum := hash(tenant + "\n" + key)
		return "sch_" + hex.EncodeToString(sum[:16])
	}
	return "sch_" + timedID()
}

// idFor is what the tenant's idempotency key always makes, or something random.
// It is short, for of lists that hold many the engine takes few bytes.
func idFor(tenant, key string) string {
	if key == "" {
		return randomID()
	}
	sum := hash("endpoint\n" + tenant + "\n" + key)
	return hex.EncodeToString(sum[:10])
}

// randomID is what nobody guesses: 20 characters.
func randomID() string {
	sum := hash(rand.Text())
	return hex.EncodeToString(sum[:10])
}

const idempotencyKey = "Idempotency-Key"

// unquoteKey makes of an Idempotency-Key that comes as the structured string which
// its draft asks for ("k1", RFC 9651 §4.2.5) the key that it means: k1.
func unquoteKey(header http.Header) error {
	values := header[idempotencyKey]
	if len(values) != 1 {
		return nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = quotedPair.ReplaceAllString(key[1:len(key)-1], "$1")
	}
	if key == "" {
		return postdate.Errorf(postdate.Invalid, "/"+idempotencyKey, "must not be empty")
	}
	header.Set(idempotencyKey, key)
	return nil
}
