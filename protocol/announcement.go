package protocol

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// Announcement is something that the operator's endpoints may want to know.
type Announcement struct {
	// ID is the event's, by which it is published once however often it is
	// announced: see [AnnouncementID].
	ID string `json:"id"`
	// AttrTenant is whose endpoint or delivery it is about.
	Tenant string `json:"tenant"`
	// Type is one of [postdate.EndpointDisabled] and its like.
	Type string          `json:"type"`
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data"`
}

// AnnouncementID is the id of what is announced once for its type, its tenant
// and about: the endpoint or delivery, and which time in its life it is.
func AnnouncementID(eventType, tenant string, about ...string) string {
	hash := sha256.Sum256([]byte(strings.Join(append([]string{eventType, tenant}, about...), "/")))
	return "op_" + hex.EncodeToString(hash[:16])
}
