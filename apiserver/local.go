package apiserver

import (
	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/calendar"
)

// localDue is the local time for which a schedule is to be due, if it names one: then it
// fills in the instant that this is by the law of today.
func localDue(body CreateSchedule, schedule *postdate.Schedule) (*postdate.LocalDue, error) {
	switch {
	case body.DueAtLocal == "" && body.TimeZone != "":
		return nil, postdate.Errorf(postdate.Invalid, "/time_zone", "is that of due_at_local: give that, too")
	case body.DueAtLocal == "" && body.Dst != nil:
		return nil, postdate.Errorf(postdate.Invalid, "/dst", "is about due_at_local: give that, too")
	case body.DueAtLocal == "":
		return nil, nil //nolint:nilnil // most schedules name none
	case body.DueAt != nil || body.Delay != nil:
		return nil, postdate.Errorf(postdate.Invalid, "/due_at_local", "due_at, due_at_local and delay exclude each other")
	case body.TimeZone == "":
		return nil, postdate.Errorf(postdate.Invalid, "/time_zone", "is needed for due_at_local: give an IANA name such as America/Sao_Paulo")
	}
	local, err := postdate.ParseLocalTime(body.DueAtLocal)
	if err != nil {
		return nil, postdate.Errorf(postdate.Invalid, "/due_at_local", "%s", err)
	}
	due := &postdate.LocalDue{Local: local, TimeZone: body.TimeZone}
	if body.Dst != nil {
		due.DST = *body.Dst
	}
	if err := due.DST.ValidateOnce("/dst"); err != nil {
		return nil, err
	}
	at, err := calendar.Resolve(due.Local, due.TimeZone, due.DST)
	if err != nil {
		return nil, err
	}
	schedule.DueAt, due.Note = &at.DueAt, at.Note
	due.Spread = postdate.Duration(schedule.Due(at.DueAt).Sub(at.DueAt))
	return due, nil
}

// byLawOfToday is a delivery whose local time is not due yet, as the law of today has it.
func byLawOfToday(d postdate.Delivery) postdate.Delivery {
	if d.Local == nil || d.State != postdate.Scheduled {
		return d
	}
	dst := d.Local.DST
	if dst.Gap == postdate.GapRefuse {
		dst.Gap = postdate.GapShift // it was accepted, and the law has changed since
	}
	at, err := calendar.Resolve(d.Local.Local, d.Local.TimeZone, dst)
	if err != nil {
		return d // the zone is not known any more: what was known is kept to
	}
	local := *d.Local
	local.Note = at.Note
	delay := max(0, d.NextAttemptAt.Sub(d.DueAt))
	d.Local, d.DueAt = &local, at.DueAt.Add(local.Spread.Duration())
	d.NextAttemptAt = d.DueAt.Add(delay)
	return d
}

// showLocal adds the local time of a delivery, if it has one.
func showLocal(shown *Delivery, local *postdate.LocalDue) {
	if local != nil {
		shown.DueAtLocal, shown.TimeZone, shown.Note = local.Local.String(), local.TimeZone, local.Note
	}
}

// isLocalTime and isDate hold text to the forms of local times and dates.
func isLocalTime(value string) error {
	_, err := postdate.ParseLocalTime(value)
	return err
}

func isDate(value string) error {
	_, err := postdate.ParseDate(value)
	return err
}

// inUTC is a recurrence with its times in UTC.
func inUTC(r *postdate.Recurrence) *postdate.Recurrence {
	if r == nil {
		return nil
	}
	same := *r
	same.StartAt, same.EndAt = utc(r.StartAt), utc(r.EndAt)
	return &same
}
