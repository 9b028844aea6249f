package calendar_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/calendar"
)

// tableCase is a recurrence and the ticks that follow a moment.
type tableCase struct {
	name, recurrence, after string
	ticks                   []string
	ends                    bool // nothing follows the last tick
}

func TestRule_TicksAsTheTableSays(t *testing.T) {
	t.Parallel()
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rule := compile(t, c.recurrence)
			assert.Equal(t, c.ticks, ticks(rule, at(t, c.after), len(c.ticks)))
			if c.ends {
				assert.Len(t, ticks(rule, at(t, c.after), len(c.ticks)+1), len(c.ticks), "nothing follows")
			}
		})
	}
}

// drawnTicks is how many ticks the script works out for each rule.
const drawnTicks = 6

// TestRule_AgreesWithDateutil holds rules drawn at random to what
// testdata/oracle.py made of them.
func TestRule_AgreesWithDateutil(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/dateutil.json")
	require.NoError(t, err)
	defer file.Close()
	all := calendars(t)
	lines := bufio.NewScanner(file)
	drawn := 0
	for ; lines.Scan(); drawn++ {
		var c struct {
			Recurrence json.RawMessage
			After      string
			Ticks      []string
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		rule, err := calendar.Compile(parse(t, string(c.Recurrence)), all)
		require.NoError(t, err)
		after := at(t, c.After)
		found := ticks(rule, after, drawnTicks)
		if len(c.Ticks) < drawnTicks {
			// The script looks 100 years ahead, and a rule as far from each tick.
			end := after.AddDate(99, 0, 0).Format(time.RFC3339)
			found = slices.DeleteFunc(found, func(tick string) bool { return tick > end })
			c.Ticks = slices.DeleteFunc(c.Ticks, func(tick string) bool { return tick > end })
		}
		assert.Equal(t, c.Ticks, found, "%s after %s", c.Recurrence, c.After)
	}
	require.NoError(t, lines.Err())
	require.Positive(t, drawn)
}

func compile(t *testing.T, recurrence string) *calendar.Rule {
	t.Helper()
	rule, err := calendar.Compile(parse(t, recurrence), calendars(t))
	require.NoError(t, err, recurrence)
	return rule
}

func parse(tb testing.TB, recurrence string) postdate.Recurrence {
	tb.Helper()
	var r postdate.Recurrence
	require.NoError(tb, json.Unmarshal([]byte(recurrence), &r), recurrence)
	return r
}

func calendars(tb testing.TB) map[string]postdate.HolidayCalendar {
	tb.Helper()
	text, err := os.ReadFile("testdata/calendars.json")
	require.NoError(tb, err)
	var all map[string]postdate.HolidayCalendar
	require.NoError(tb, json.Unmarshal(text, &all))
	return all
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return parsed
}

// ticks are the first n after a moment, each as its local time and offset.
func ticks(rule *calendar.Rule, after time.Time, n int) []string {
	found := []string{}
	for tick := range rule.Ticks(postdate.Tick{Moment: postdate.Moment{DueAt: after}}) {
		if len(found) == n {
			break
		}
		found = append(found, tick.Local.String()+tick.Offset)
	}
	return found
}
