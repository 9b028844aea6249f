package tenants

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

func TestStore_ChangesCalendars(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	banks := postdate.HolidayCalendar{
		Name: "br-banks", Weekend: []postdate.Weekday{postdate.Weekday(time.Saturday), postdate.Weekday(time.Sunday)},
		Dates: []postdate.Holiday{{Date: postdate.Date{Year: 2026, Month: time.December, Day: 25}, Label: "Natal"}},
	}
	kept := func(name string) postdate.HolidayCalendar {
		c, ok := d.read().Calendar(name)
		require.True(t, ok, name)
		return c
	}
	created, err := d.CreateCalendar(t.Context(), d.tenant, banks)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, banks, kept("br-banks"))
	created, err = d.CreateCalendar(t.Context(), d.tenant, banks)
	require.NoError(t, err)
	require.False(t, created, "it is there")

	replaced := banks
	replaced.Dates = nil
	_, err = d.CreateCalendar(t.Context(), d.tenant, replaced)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
	require.NoError(t, d.PutCalendar(t.Context(), d.tenant, replaced))
	require.Empty(t, kept("br-banks").Dates)
	require.NoError(t, d.PutCalendar(t.Context(), d.tenant, postdate.HolidayCalendar{Name: "ab-banks"}))
	require.Equal(t, "ab-banks", d.read().Calendars[0].Name, "by name")

	require.NoError(t, d.DeleteCalendar(t.Context(), d.tenant, "br-banks"))
	require.Equal(t, postdate.NotFound, postdate.CodeOf(d.DeleteCalendar(t.Context(), d.tenant, "br-banks")))
	_, left := d.read().Calendar("br-banks")
	require.False(t, left)
	kept("ab-banks")
	d.record("tenant/calendars", protocol.TenantID(d.tenant))
}
