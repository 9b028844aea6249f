package calendar

import (
	"regexp"
	"strings"
	"time"

	"github.com/netresearch/go-cron"

	"github.com/postdate/postdate"
)

const cronField = "/recurrence/cron"

// cronParser reads five fields and the names for common ones. What it makes of
// days of month and week, and of clocks that change, is not used.
var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.Extended)

var (
	cronFieldPattern = regexp.MustCompile(`^[a-z0-9*?/#-]+(?:,[a-z0-9*?/#-]+)*$`)
	// lastOfWeek is how Quartz writes the last Friday: "5L", "FRIL".
	lastOfWeek = regexp.MustCompile(`\b([0-7]|sun|mon|tue|wed|thu|fri|sat)l\b`)
)

// crontab is the local times of five fields.
type crontab struct {
	times         clock
	months        uint64
	monthDays     uint64
	weekDays      uint64
	monthDayRules []cron.DomConstraint
	weekDayRules  []cron.DowConstraint
	anyMonthDay   bool // the field begins with a star
	anyWeekDay    bool
}

func parseCron(text string) (*crontab, error) {
	fields, err := cronFields(text)
	if err != nil {
		return nil, err
	}
	schedule, err := cronParser.Parse(strings.Join(fields, " "))
	if err != nil {
		return nil, postdate.Errorf(postdate.Invalid, cronField, "cannot be read: %v", err)
	}
	spec, ok := schedule.(*cron.SpecSchedule)
	if !ok {
		return nil, postdate.Errorf(postdate.Invalid, cronField, "%q does not say when", text)
	}
	const days, weekdays = 1<<32 - 2, 1<<7 - 1
	c := &crontab{
		times:         clock{hours: spec.Hour & allHours, minutes: spec.Minute & allMinutes, seconds: 1},
		months:        spec.Month & (1<<13 - 2),
		monthDays:     spec.Dom & days,
		weekDays:      spec.Dow & weekdays,
		monthDayRules: spec.DomConstraints,
		weekDayRules:  spec.DowConstraints,
		anyMonthDay:   len(fields) == 1 || star(fields[2]),
		anyWeekDay:    len(fields) == 1 || star(fields[4]),
	}
	return c, nil
}

// cronFields splits text and refuses what programs read differently.
func cronFields(text string) ([]string, error) {
	fields := strings.Fields(strings.ToLower(text))
	switch {
	case len(fields) > 0 && strings.HasPrefix(fields[0], "@every"):
		return nil, postdate.Errorf(postdate.Invalid, cronField, "write an interval as every, which is anchored at start_at")
	case len(fields) > 0 && (strings.HasPrefix(fields[0], "tz=") || strings.HasPrefix(fields[0], "cron_tz=")):
		return nil, postdate.Errorf(postdate.Invalid, cronField, "write the time zone as time_zone")
	case len(fields) == 1 && strings.HasPrefix(fields[0], "@"):
		return fields, nil
	case len(fields) == 6 || len(fields) == 7:
		return nil, postdate.Errorf(postdate.Invalid, cronField,
			"has %d fields: give five (minute, hour, day, month, weekday); programs do not agree whether a sixth is seconds or years", len(fields))
	case len(fields) != 5:
		return nil, postdate.Errorf(postdate.Invalid, cronField,
			"has %d fields: give five (minute, hour, day, month, weekday), or a name such as @daily", len(fields))
	}
	for _, field := range fields {
		if !cronFieldPattern.MatchString(field) {
			return nil, postdate.Errorf(postdate.Invalid, cronField, "%q is not a field of a crontab", field)
		}
	}
	fields[4] = lastOfWeek.ReplaceAllString(fields[4], "$1#l")
	return fields, nil
}

// star reports whether a field of days counts as open. So says cron's own
// source: one that begins with a star does, "*/2" included.
func star(field string) bool { return field[0] == '*' || field[0] == '?' }

// hourly reports whether c is due in every hour of its days.
func (c *crontab) hourly() bool { return c.times.hours == allHours }

func (c *crontab) next(after, until wall) (wall, bool) {
	from := after + 1
	second := from.second()
	for d := from.day(); d <= until.day(); {
		m := d.inMonth()
		if c.months>>m.month&1 == 0 {
			d, second = d+day(m.length-m.day+1), 0
			continue
		}
		if c.onDay(m) {
			if s, ok := c.times.next(second); ok {
				return d.at(s), d.at(s) <= until
			}
		}
		d, second = d+1, 0
	}
	return 0, false
}

// onDay joins the two fields of days as cron does: where both say something, one
// of them is enough.
func (c *crontab) onDay(m monthDay) bool {
	byMonth := c.monthDays>>m.day&1 == 1
	for _, rule := range c.monthDayRules {
		byMonth = byMonth || ruledDay(rule, m) == m.day
	}
	byWeek := c.weekDays>>m.weekday&1 == 1
	fromStart, fromEnd := m.nth()
	for _, rule := range c.weekDayRules {
		byWeek = byWeek || rule.Weekday == int(m.weekday) && (rule.N == fromStart || rule.N == fromEnd)
	}
	if c.anyMonthDay || c.anyWeekDay {
		return byMonth && byWeek
	}
	return byMonth || byWeek
}

// ruledDay is the day that L, L-3, LW or 15W mean in m's month, or 0.
func ruledDay(rule cron.DomConstraint, m monthDay) int {
	switch rule.Type {
	case cron.DomLast:
		return m.length
	case cron.DomLastOffset:
		return max(m.length-rule.N, 0)
	case cron.DomLastWeekday:
		return nearestWeekday(m, m.length)
	case cron.DomNearestWeekday:
		if rule.N <= m.length {
			return nearestWeekday(m, rule.N)
		}
	}
	return 0
}

// nearestWeekday is the day from Monday to Friday that is nearest to a day of
// m's month, in the same month.
func nearestWeekday(m monthDay, to int) int {
	switch m.ofMonth(to) {
	case time.Saturday:
		if to == 1 {
			return 3
		}
		return to - 1
	case time.Sunday:
		if to == m.length {
			return to - 2
		}
		return to + 1
	default:
		return to
	}
}
