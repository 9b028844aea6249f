package calendar_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/calendar"
)

// TestResolve_FindsTheInstant holds local times to what zoneinfo made of them
// (PEP 495: fold=0 in gaps and for the first, fold=1 for the second).
func TestResolve_FindsTheInstant(t *testing.T) {
	t.Parallel()
	second := postdate.DST{Overlap: postdate.RepeatSecond}
	for _, c := range []struct {
		local, zone, due, offset, note string
		rule                           postdate.DST
	}{
		{local: "2031-03-01T09:00:00", zone: "America/Sao_Paulo", due: "2031-03-01T12:00:00Z", offset: "-03:00"},
		{local: "2031-03-01T09:00:00", zone: "UTC", due: "2031-03-01T09:00:00Z", offset: "+00:00"},
		{local: "2131-07-01T09:00:00", zone: "Europe/Berlin", due: "2131-07-01T07:00:00Z", offset: "+02:00"},
		{local: "1890-06-01T09:00:00", zone: "America/Sao_Paulo", due: "1890-06-01T12:06:28Z", offset: "-03:06:28"},
		{
			local: "2027-03-14T02:30:00", zone: "America/New_York", due: "2027-03-14T07:30:00Z", offset: "-04:00",
			note: "2027-03-14T02:30:00 does not exist: clocks go from 2027-03-14T02:00:00 to 2027-03-14T03:00:00, and it moves to 2027-03-14T03:30:00",
		},
		{
			local: "2011-12-30T09:00:00", zone: "Pacific/Apia", due: "2011-12-30T19:00:00Z", offset: "+14:00",
			note: "2011-12-30T09:00:00 does not exist: clocks go from 2011-12-30T00:00:00 to 2011-12-31T00:00:00, and it moves to 2011-12-31T09:00:00",
		},
		{
			local: "2026-10-04T02:00:00", zone: "Australia/Lord_Howe", due: "2026-10-03T15:30:00Z", offset: "+11:00",
			note: "2026-10-04T02:00:00 does not exist: clocks go from 2026-10-04T02:00:00 to 2026-10-04T02:30:00, and it moves to 2026-10-04T02:30:00",
		},
		{
			local: "2026-11-01T01:30:00", zone: "America/New_York", due: "2026-11-01T05:30:00Z", offset: "-04:00",
			note: "clocks show 2026-11-01T01:30:00 twice: this is the first",
		},
		{
			local: "2026-11-01T01:30:00", zone: "America/New_York", due: "2026-11-01T06:30:00Z", offset: "-05:00",
			note: "clocks show 2026-11-01T01:30:00 twice: this is the second", rule: second,
		},
		{local: "2026-11-01T02:00:00", zone: "America/New_York", due: "2026-11-01T07:00:00Z", offset: "-05:00", rule: second},
		{
			local: "2010-11-06T23:30:00", zone: "America/St_Johns", due: "2010-11-07T03:00:00Z", offset: "-03:30",
			note: "clocks show 2010-11-06T23:30:00 twice: this is the second", rule: second,
		},
	} {
		local, err := postdate.ParseLocalTime(c.local)
		require.NoError(t, err)
		moment, err := calendar.Resolve(local, c.zone, c.rule)
		require.NoError(t, err, "%s %s", c.local, c.zone)
		assert.Equal(t, at(t, c.due), moment.DueAt, "%s %s", c.local, c.zone)
		assert.Equal(t, c.offset, moment.Offset)
		assert.Equal(t, c.note, moment.Note)
	}
}

func TestResolve_RefusesGapsWhereToldTo(t *testing.T) {
	t.Parallel()
	gap, err := postdate.ParseLocalTime("2018-11-04T00:00:00")
	require.NoError(t, err)
	_, err = calendar.Resolve(gap, "America/Sao_Paulo", postdate.DST{Gap: postdate.GapRefuse})
	assertRefused(t, err, "/due_at_local", "2018-11-04T00:00:00 does not exist in America/Sao_Paulo: clocks go from 2018-11-04T00:00:00 to 2018-11-04T01:00:00", "")
}

func TestResolve_RefusesUnknownZones(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "Local", "localtime", "posixrules", "Factory", "Mars/Olympus", "GMT+25", "-03:00", "America", "America/",
		"../zoneinfo/UTC", "/usr/share/zoneinfo/UTC", "right/UTC", "posix/Europe/Berlin", "zone.tab", "EUROPE/BERLIN", "UTC\n", "\x00",
	} {
		_, err := calendar.Resolve(postdate.LocalTime{}, name, postdate.DST{})
		assertRefused(t, err, "/time_zone", "is not a time zone", name)
	}
}
