package postdate

import "time"

// Filter says which deliveries are meant. What is empty or nil is not asked for.
type Filter struct {
	Tenant   string `json:"tenant"`
	State    State  `json:"state,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Entity   string `json:"entity,omitempty"`
	Type     string `json:"type,omitempty"`
	// Import is the import that its schedule came by.
	Import string `json:"import,omitempty"`
	// SchedulesOnly leaves out the deliveries of events.
	SchedulesOnly bool       `json:"schedules_only,omitempty"`
	DueBefore     *time.Time `json:"due_before,omitempty"`
	DueAfter      *time.Time `json:"due_after,omitempty"`
	// AcceptedBefore leaves out what was accepted later.
	AcceptedBefore *time.Time `json:"accepted_before,omitempty"`
}

// Narrows reports whether f means less than all of the tenant's deliveries.
func (f Filter) Narrows() bool {
	return f.State != "" || f.Endpoint != "" || f.Entity != "" || f.Type != "" || f.Import != "" || f.DueBefore != nil || f.DueAfter != nil
}

// Validate reports the first value of f that no delivery can have.
func (f Filter) Validate() error {
	for _, field := range []struct {
		pointer, value string
		validate       func(pointer, value string) error
	}{
		{"/endpoint", f.Endpoint, validateName},
		{"/entity", f.Entity, validateName},
		{"/type", f.Type, validateType},
		{"/import", f.Import, ValidateImport},
	} {
		if field.value == "" {
			continue
		}
		if err := field.validate(field.pointer, field.value); err != nil {
			return err
		}
	}
	return nil
}
