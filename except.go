package postdate

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Except lists what a recurrence leaves out: local dates ("2026-12-25") and the
// names of holiday calendars. In JSON, one may stand without the array.
type Except []string

// UnmarshalJSON reads an array, or one string.
func (e *Except) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		*e = make(Except, 1)
		return json.Unmarshal(text, &(*e)[0])
	}
	return json.Unmarshal(text, (*[]string)(e))
}

// Dates are the dates that e lists itself.
func (e Except) Dates() []Date {
	var dates []Date
	for _, entry := range e {
		if date, err := ParseDate(entry); err == nil {
			dates = append(dates, date)
		}
	}
	return dates
}

// Calendars are the names of the holiday calendars that e refers to.
func (e Except) Calendars() []string {
	var names []string
	for _, entry := range e {
		if calendarPattern.MatchString(entry) {
			names = append(names, entry)
		}
	}
	return names
}

func (e Except) validate(pointer string) error {
	if len(e) > maxExceptions {
		return Errorf(Invalid, pointer, "at most %d: keep more dates in a holiday calendar", maxExceptions)
	}
	for i, entry := range e {
		if _, err := ParseDate(entry); err != nil && !calendarPattern.MatchString(entry) {
			return Errorf(Invalid, pointer+"/"+strconv.Itoa(i), "%q is neither a date such as 2026-12-25 nor the name of a holiday calendar", entry)
		}
	}
	return nil
}
