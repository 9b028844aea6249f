package workflows

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// putCalendar creates a holiday calendar, or replaces the one of its name.
func (c *change) putCalendar(in protocol.PutCalendar) error {
	i, found := c.findCalendar(in.Calendar.Name)
	switch {
	case found && reflect.DeepEqual(c.Calendars[i], in.Calendar):
		c.result.Calendar = &c.Calendars[i]
		return nil
	case found && in.Create:
		return postdate.Errorf(postdate.Conflict, "/name", "another holiday calendar has this name")
	}
	kept := slices.Clone(c.Calendars)
	if found {
		kept[i] = in.Calendar
	} else {
		kept = slices.Insert(kept, i, in.Calendar)
	}
	c.Calendars = kept
	c.markChanged()
	c.needsLimitCheck, c.result.Created, c.result.Calendar = true, !found, &in.Calendar
	if len(kept) > postdate.MaxCalendars {
		return postdate.Errorf(postdate.Invalid, "", "a tenant has at most %d holiday calendars", postdate.MaxCalendars)
	}
	return nil
}

// deleteCalendar removes a holiday calendar. Recurrences that name it pause when they are
// due.
func (c *change) deleteCalendar(name string) error {
	i, found := c.findCalendar(name)
	if !found {
		return postdate.Errorf(postdate.NotFound, "", "no holiday calendar %s", name)
	}
	deleted := c.Calendars[i]
	c.Calendars = slices.Delete(slices.Clone(c.Calendars), i, i+1)
	c.result.Calendar = &deleted
	c.markChanged()
	return nil
}

// findCalendar is where the calendar of a name is, or belongs.
func (c *change) findCalendar(name string) (int, bool) {
	return slices.BinarySearchFunc(c.Calendars, name, func(calendar postdate.HolidayCalendar, name string) int {
		return cmp.Compare(calendar.Name, name)
	})
}
