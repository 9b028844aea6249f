package protocol

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// Announcement is an event about a tenant's endpoint or delivery, published to the
// operator's endpoints.
type Announcement struct {
	// ID is the id of the event, by which it is published once however often it is
	// announced: see [AnnouncementID].
	ID string `json:"id"`
	// Tenant is the tenant whose endpoint or delivery it is about.
	Tenant string `json:"tenant"`
	// Type is an operator's event type, such as [postdate.EndpointDisabled].
	Type string          `json:"type"`
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data"`
}

// AnnouncementID is the id of an announcement, which is made once for its type, its tenant
// and what it is about: the endpoint or delivery, and its version.
func AnnouncementID(eventType, tenant string, about ...string) string {
	hash := sha256.Sum256([]byte(strings.Join(append([]string{eventType, tenant}, about...), "/")))
	return "op_" + hex.EncodeToString(hash[:16])
}
