package postdate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

const (
	// MaxHolidays is how many dates a calendar holds.
	MaxHolidays = 5_000
	maxWeekend  = 6
)

// A name begins with a letter, so that it cannot be taken for a date.
var calendarPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// HolidayCalendar names days on which nothing is due. Recurrences refer to it.
type HolidayCalendar struct {
	Name  string    `json:"name"`
	Dates []Holiday `json:"dates"`
	// Weekend lists the days of every week that are holidays, too.
	Weekend []Weekday `json:"weekend,omitempty"`
}

// Holiday is one date of a calendar. In JSON it may be the date alone.
type Holiday struct {
	Date  Date   `json:"date"`
	Label string `json:"label,omitempty"`
}

// UnmarshalJSON reads an object, or the date alone as a string.
func (h *Holiday) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		text = fmt.Appendf(nil, `{"date":%s}`, text)
	}
	*h = Holiday{}
	type plain Holiday
	return json.Unmarshal(text, (*plain)(h))
}

// Validate reports the first rule that c breaks.
func (c HolidayCalendar) Validate() error {
	switch {
	case !calendarPattern.MatchString(c.Name):
		return Errorf(Invalid, "/name", "a calendar's name is a letter and up to 63 more of A-Z a-z 0-9 _ -")
	case len(c.Dates) > MaxHolidays:
		return Errorf(Invalid, "/dates", "at most %d dates", MaxHolidays)
	case len(c.Weekend) > maxWeekend:
		return Errorf(Invalid, "/weekend", "at most %d days: one must be left to work on", maxWeekend)
	}
	for _, holiday := range c.Dates {
		if holiday.Date == (Date{}) {
			return Errorf(Invalid, "/dates", "a holiday needs a date")
		}
		if holiday.Label == "" {
			continue
		}
		if err := validateName("/dates", holiday.Label); err != nil {
			return err
		}
	}
	return nil
}

// Weekday is a day of the week. In JSON it is the English name, as "saturday".
type Weekday time.Weekday

var errWeekday = errors.New(`not a day of the week: write "monday" to "sunday"`)

func (d Weekday) String() string { return strings.ToLower(time.Weekday(d).String()) }

// MarshalText writes the English name.
func (d Weekday) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the English name.
func (d *Weekday) UnmarshalText(text []byte) error {
	for day := Weekday(time.Sunday); day <= Weekday(time.Saturday); day++ {
		if strings.EqualFold(day.String(), string(text)) {
			*d = day
			return nil
		}
	}
	return errWeekday
}
