package postdate

import (
	"cmp"
	"errors"
	"time"
)

const (
	dateLayout  = "2006-01-02"
	localLayout = "2006-01-02T15:04:05"
)

var (
	errDate  = errors.New(`not a date: write "2031-03-01"`)
	errLocal = errors.New(`not a local time: write "2031-03-01T09:00:00", without an offset`)
)

// Date is a day of the calendar, in no time zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads the form "2031-03-01".
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(dateLayout, text)
	if err != nil {
		return Date{}, errDate
	}
	return dateOf(t), nil
}

func dateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{Year: year, Month: month, Day: day}
}

// UTC is midnight in UTC on d.
func (d Date) UTC() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

func (d Date) String() string { return d.UTC().Format(dateLayout) }

// Compare is negative where d is before other, and 0 where they are the same.
func (d Date) Compare(other Date) int {
	return cmp.Or(cmp.Compare(d.Year, other.Year), cmp.Compare(d.Month, other.Month), cmp.Compare(d.Day, other.Day))
}

// MarshalText writes what [ParseDate] reads.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [ParseDate] reads.
func (d *Date) UnmarshalText(text []byte) error {
	parsed, err := ParseDate(string(text))
	*d = parsed
	return err
}

// LocalTime is what a clock on a wall shows: a date and a time of day, to the
// second, in no time zone. Which instant that is depends on the law of a place,
// and the law may change.
type LocalTime struct {
	Date
	Hour, Minute, Second int
}

// ParseLocalTime reads the form "2031-03-01T09:00:00".
func ParseLocalTime(text string) (LocalTime, error) {
	t, err := time.Parse(localLayout, text)
	if err != nil || len(text) != len(localLayout) {
		return LocalTime{}, errLocal
	}
	return LocalTimeOf(t), nil
}

// LocalTimeOf is what t shows in its own location, to the second.
func LocalTimeOf(t time.Time) LocalTime {
	hour, minute, second := t.Clock()
	return LocalTime{Date: dateOf(t), Hour: hour, Minute: minute, Second: second}
}

// UTC is the instant at which a clock in UTC shows l.
func (l LocalTime) UTC() time.Time {
	return time.Date(l.Year, l.Month, l.Day, l.Hour, l.Minute, l.Second, 0, time.UTC)
}

func (l LocalTime) String() string { return l.UTC().Format(localLayout) }

// MarshalText writes what [ParseLocalTime] reads.
func (l LocalTime) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what [ParseLocalTime] reads.
func (l *LocalTime) UnmarshalText(text []byte) error {
	parsed, err := ParseLocalTime(string(text))
	*l = parsed
	return err
}

// LocalDue is a local time for which a schedule is due once.
type LocalDue struct {
	Local    LocalTime `json:"local"`
	TimeZone string    `json:"time_zone"`
	DST      DST       `json:"dst,omitzero"`
	// Spread is how long after it the schedule is due.
	Spread Duration `json:"spread,omitempty"`
	// Note says what was moved, and why.
	Note string `json:"note,omitempty"`
}
