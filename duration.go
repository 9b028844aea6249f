package postdate

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strconv"
	"time"
)

// Duration is a length of time. It reads Go's form ("1h30m") and that of
// ISO 8601 ("PT1H30M", "P2D") and writes Go's.
type Duration time.Duration

// Duration is d as the standard library knows it.
func (d Duration) Duration() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d in Go's form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	*d = parsed
	return err
}

// MarshalJSON writes d as a string in Go's form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

var (
	iso8601 = regexp.MustCompile(`^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,9})?)S)?)?$`)

	errDuration = errors.New(`not a duration: write "90s", "1h30m", "PT90S" or "P2D"`)
)

// ParseDuration reads a duration in Go's form or in ISO 8601's. Years and
// months are refused: their length depends on the calendar.
func ParseDuration(text string) (Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return Duration(d), nil
	}
	parts := iso8601.FindStringSubmatch(text)
	if parts == nil || text[len(text)-1] == 'P' || text[len(text)-1] == 'T' {
		return 0, errDuration
	}
	units := []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second}
	var total float64
	for i, unit := range units {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(parts[i+1], 64)
		if err != nil {
			return 0, errDuration
		}
		total += n * float64(unit)
	}
	if total >= math.MaxInt64 { // 292 years
		return 0, errDuration
	}
	return Duration(total), nil
}
