package postdate

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Event is something that happened, published to the endpoints that subscribed to its type.
type Event struct {
	ID     string `json:"id,omitempty"`
	Type   string `json:"type"`
	Entity string `json:"entity,omitempty"`
	// Data is opaque: see [Message].
	Data []byte `json:"payload,omitempty"`
	// Timestamp is when it happened. Nil: when it was accepted.
	Timestamp *time.Time `json:"timestamp,omitempty"`
	// CloudEvent holds what only CloudEvents have, where it came as one.
	CloudEvent *CloudEvent `json:"cloudevent,omitempty"`
	// Tick says for which tick it is, where a recurring schedule publishes it.
	Tick *TickRef `json:"-"`
	// Inbound is what it has of the request by which it came: see [Message].
	Inbound *Inbound `json:"-"`
}

// Validate reports the first reason that e could not be published. An empty ID
// is for the caller to fill.
func (e Event) Validate() error {
	if e.ID != "" && !e.isCloudEvent() {
		if err := validateOwnID("/id", e.ID); err != nil {
			return err
		}
	}
	if e.Entity != "" {
		if err := validateName("/entity", e.Entity); err != nil {
			return err
		}
	}
	if e.CloudEvent != nil {
		if err := e.CloudEvent.Validate(); err != nil {
			return err
		}
	}
	return validateType("/type", e.Type)
}

// isCloudEvent reports whether e has the id that was made of a CloudEvent's.
func (e Event) isCloudEvent() bool {
	return e.CloudEvent != nil && e.CloudEvent.ID != "" && e.ID == CloudEventID(e.CloudEvent.Source, e.CloudEvent.ID)
}

// DeliveryID is the id of an event's delivery to an endpoint.
func DeliveryID(event, endpoint string) string { return event + "." + endpoint }

// SplitDeliveryID is the inverse of [DeliveryID]: ok is false of the id of a
// schedule's delivery, which has no full stop.
func SplitDeliveryID(id string) (event, endpoint string, ok bool) {
	return strings.Cut(id, ".")
}

// ValidateDeliveryID holds id to the form of a delivery's: a schedule's id, or
// an event's and an endpoint's with a full stop between them. A tick of a recurring
// schedule may be published as an event of its id.
func ValidateDeliveryID(pointer, id string) error {
	event, endpoint, ok := SplitDeliveryID(id)
	if err := ValidateScheduleID(pointer, event); err != nil {
		return err
	}
	if ok {
		return ValidateID(pointer, endpoint)
	}
	return nil
}

// GroupedID is the id of the event at that place of a group, counted from 0: it
// says itself where it is found.
func GroupedID(group string, place int) string { return "evt_" + group + "_" + strconv.Itoa(place) }

var groupedPattern = regexp.MustCompile(`^evt_([0-9a-f]{32})_(0|[1-9]\d{0,3})$`)

// SplitGroupedID is the inverse of [GroupedID]. ok is false of an event that
// travels alone. No caller may choose an id of this form.
func SplitGroupedID(id string) (group string, place int, ok bool) {
	found := groupedPattern.FindStringSubmatch(id)
	if found == nil {
		return "", 0, false
	}
	place, _ = strconv.Atoi(found[2]) // up to four digits
	return found[1], place, true
}

// GroupedScheduleID is the id of the schedule at that place of a group of unnamed
// schedules, counted from 0: it says itself where it is found.
func GroupedScheduleID(group string, place int) string {
	return "sch_" + group + "_" + strconv.Itoa(place)
}

var groupedSchedulePattern = regexp.MustCompile(`^sch_([0-9a-f]{32})_(0|[1-9]\d{0,3})$`)

// SplitGroupedScheduleID is the inverse of [GroupedScheduleID]. ok is false of a schedule
// that has had an execution of its own from the start. No caller may choose an id of this
// form.
func SplitGroupedScheduleID(id string) (group string, place int, ok bool) {
	found := groupedSchedulePattern.FindStringSubmatch(id)
	if found == nil {
		return "", 0, false
	}
	place, _ = strconv.Atoi(found[2]) // up to four digits
	return found[1], place, true
}
