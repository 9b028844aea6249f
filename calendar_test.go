package postdate_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestHolidayCalendar_RefusesWhatBreaksARule(t *testing.T) {
	t.Parallel()
	for body, pointer := range map[string]string{
		`{"name":"br_banks","dates":["2026-12-25"]}`:                                                          "",
		`{"name":"br-banks","dates":[{"date":"2026-12-25","label":"Natal"}],"weekend":["saturday","SUNDAY"]}`: "",
		`{"name":"weekends","weekend":["friday","saturday"]}`:                                                 "",

		`{"name":"","dates":[]}`:                                      "/name",
		`{"name":"2026-12-25","dates":[]}`:                            "/name",
		`{"name":"` + strings.Repeat("x", 65) + `"}`:                  "/name",
		`{"name":"a","dates":[{"label":"Natal"}]}`:                    "/dates",
		`{"name":"a","dates":[{"date":"2026-12-25","label":"a\nb"}]}`: "/dates",

		`{"name":"a","dates":[` + strings.Repeat(`"2026-12-25",`, postdate.MaxHolidays) + `"2026-12-26"]}`: "/dates",
		`{"name":"a","weekend":["monday","tuesday","wednesday","thursday","friday","saturday","sunday"]}`:  "/weekend",
	} {
		var c postdate.HolidayCalendar
		require.NoError(t, json.Unmarshal([]byte(body), &c), body)
		assertPointer(t, pointer, c.Validate(), body)
	}
}

func TestHolidayCalendar_ReadsDatesAndDaysOnly(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"dates":["2026-02-29"]}`, `{"dates":["25.12.2026"]}`, `{"dates":["2026-12-25T00:00:00Z"]}`, `{"dates":[1]}`,
		`{"weekend":["sat"]}`, `{"weekend":[6]}`,
	} {
		var c postdate.HolidayCalendar
		assert.Error(t, json.Unmarshal([]byte(body), &c), body)
	}
}

func TestHolidayCalendar_WritesEachDateWithItsLabel(t *testing.T) {
	t.Parallel()
	var c postdate.HolidayCalendar
	require.NoError(t, json.Unmarshal([]byte(`{"name":"a","dates":["2026-12-25",{"date":"2027-01-01","label":"New Year"}],"weekend":["Sunday"]}`), &c))
	text, err := json.Marshal(c)
	require.NoError(t, err)
	assert.JSONEq(t, `{"name":"a","dates":[{"date":"2026-12-25"},{"date":"2027-01-01","label":"New Year"}],"weekend":["sunday"]}`, string(text))
}

func TestLocalTime_ReadsOneFormOnly(t *testing.T) {
	t.Parallel()
	local, err := postdate.ParseLocalTime("2031-03-01T09:00:00")
	require.NoError(t, err)
	assert.Equal(t, postdate.LocalTime{Date: postdate.Date{Year: 2031, Month: 3, Day: 1}, Hour: 9}, local)
	assert.Equal(t, "2031-03-01T09:00:00", local.String())
	for _, text := range []string{
		"", "2031-03-01", "2031-03-01T09:00", "2031-03-01 09:00:00", "2031-03-01T09:00:00Z", "2031-03-01T09:00:00-03:00",
		"2031-03-01T09:00:00.5", "2031-02-29T09:00:00", "2031-03-01T24:00:00", "31-03-01T09:00:00",
	} {
		_, err := postdate.ParseLocalTime(text)
		assert.Error(t, err, text)
	}
	var read struct {
		At postdate.LocalTime `json:"at"`
	}
	require.NoError(t, json.Unmarshal([]byte(`{"at":"2031-03-01T09:00:00"}`), &read))
	text, err := json.Marshal(read)
	require.NoError(t, err)
	assert.JSONEq(t, `{"at":"2031-03-01T09:00:00"}`, string(text))
}

func TestDate_IsInOrder(t *testing.T) {
	t.Parallel()
	first := postdate.Date{Year: 2026, Month: 12, Day: 31}
	for _, later := range []postdate.Date{{Year: 2027, Month: 1, Day: 1}, {Year: 2027, Month: 12, Day: 1}} {
		assert.Negative(t, first.Compare(later))
		assert.Positive(t, later.Compare(first))
	}
	same := first
	assert.Zero(t, first.Compare(same))
}
