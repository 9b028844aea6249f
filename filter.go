package postdate

import "time"

// Filter says which deliveries are meant. What is empty is not asked for.
type Filter struct {
	Tenant   string `json:"tenant"`
	State    State  `json:"state,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Entity   string `json:"entity,omitempty"`
	Type     string `json:"type,omitempty"`
	// SchedulesOnly leaves out the deliveries of events.
	SchedulesOnly bool      `json:"schedules_only,omitempty"`
	DueBefore     time.Time `json:"due_before,omitzero"`
	DueAfter      time.Time `json:"due_after,omitzero"`
	// AcceptedBefore leaves out what was accepted later.
	AcceptedBefore time.Time `json:"accepted_before,omitzero"`
}

// Validate reports the first value of f that no delivery can have.
func (f Filter) Validate() error {
	for _, field := range []struct{ pointer, value string }{
		{"/endpoint", f.Endpoint}, {"/entity", f.Entity}, {"/type", f.Type},
	} {
		if field.value == "" {
			continue
		}
		if err := validateName(field.pointer, field.value); err != nil {
			return err
		}
	}
	return nil
}
