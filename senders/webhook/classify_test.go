package webhook

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// answer is a handler that answers that status with those headers, in pairs.
func answer(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

func TestSend_ClassifiesEveryAnswer(t *testing.T) {
	t.Parallel()
	s := open()
	for _, c := range []struct {
		status  int
		headers []string
		want    postdate.Outcome
	}{
		{200, nil, postdate.Accepted},
		{201, nil, postdate.Accepted},
		{202, nil, postdate.Accepted},
		{204, nil, postdate.Accepted},
		{299, nil, postdate.Accepted},
		{200, []string{"Webhook-Delivery", "abort"}, postdate.Accepted},
		{200, []string{"Webhook-Delivery", "abort-message"}, postdate.Accepted},
		{200, []string{"Webhook-Delivery", "disable"}, postdate.Accepted},
		{200, []string{"Postdate-Reschedule", "1h", "Webhook-Delivery", "disable"}, postdate.Rescheduled},
		{204, []string{"Postdate-Reschedule", "1h"}, postdate.Rescheduled},
		{300, nil, postdate.Failed},
		{301, nil, postdate.Failed},
		{302, nil, postdate.Failed},
		{303, nil, postdate.Failed},
		{304, nil, postdate.Failed},
		{305, nil, postdate.Failed},
		{307, nil, postdate.Failed},
		{308, nil, postdate.Failed},
		{399, nil, postdate.Failed},
		{400, nil, postdate.Failed},
		{401, nil, postdate.Failed},
		{404, nil, postdate.Failed},
		{408, nil, postdate.Failed},
		{410, nil, postdate.Gone},
		{410, []string{"Webhook-Delivery", "abort"}, postdate.Gone},
		{413, nil, postdate.Failed},
		{422, []string{"Webhook-Delivery", "abort"}, postdate.Aborted},
		{400, []string{"Webhook-Delivery", " Abort "}, postdate.Aborted},
		{400, []string{"Webhook-Delivery", "continue"}, postdate.Failed},
		{302, []string{"Webhook-Delivery", "abort"}, postdate.Aborted},
		{503, []string{"Webhook-Delivery", "abort"}, postdate.Aborted},
		{500, []string{"Webhook-Delivery", "abort-message"}, postdate.Aborted},
		{400, []string{"Webhook-Delivery", "ABORT-Message"}, postdate.Aborted},
		{500, []string{"Webhook-Delivery", "disable"}, postdate.Gone},
		{404, []string{"Webhook-Delivery", "Disable"}, postdate.Gone},
		{500, []string{"Webhook-Delivery", "abort-message, disable"}, postdate.Gone},
		{500, []string{"Webhook-Delivery", "abort-messages"}, postdate.Failed},
		{429, nil, postdate.Failed},
		{500, nil, postdate.Failed},
		{500, []string{"Postdate-Reschedule", "1h"}, postdate.Failed},
		{502, nil, postdate.Failed},
		{503, nil, postdate.Failed},
		{504, nil, postdate.Failed},
		{599, nil, postdate.Failed},
		{999, nil, postdate.Failed},
	} {
		t.Run(strconv.Itoa(c.status)+strings.Join(c.headers, " "), func(t *testing.T) {
			t.Parallel()
			a := send(t, s, serve(t, answer(c.status, c.headers...)))
			require.Equal(t, c.want, a.Outcome)
			require.Equal(t, c.status, a.Status)
			require.Equal(t, fixed, a.At)
			require.Equal(t, c.want == postdate.Rescheduled, !a.RescheduleTo.IsZero())
			require.Zero(t, a.RetryAfter)
			isRedirect := slices.Contains([]int{301, 302, 303, 307, 308}, c.status)
			require.Equal(t, isRedirect && c.want == postdate.Failed, a.Error != "", a.Error)
			asksToDisable := strings.Contains(strings.ToLower(strings.Join(c.headers, " ")), "disable")
			require.Equal(t, asksToDisable, a.Disable)
		})
	}
}

func TestSend_ObeysReschedule(t *testing.T) {
	t.Parallel()
	s := open()
	soonest := fixed.Add(time.Second)
	for value, want := range map[string]time.Time{
		"2027-02-01T09:00:00Z":      time.Date(2027, 2, 1, 9, 0, 0, 0, time.UTC),
		"2027-02-01T09:00:00+02:00": time.Date(2027, 2, 1, 7, 0, 0, 0, time.UTC),
		"2027-02-01T09:00:00.5Z":    time.Date(2027, 2, 1, 9, 0, 0, 5e8, time.UTC),
		"720h":                      fixed.Add(720 * time.Hour),
		"P30D":                      fixed.Add(720 * time.Hour),
		"PT1M30S":                   fixed.Add(90 * time.Second),
		"876000h":                   fixed.Add(postdate.MaxDelay),
		"876576h":                   time.Date(2127, 1, 1, 9, 0, 0, 123456789, time.UTC),
		"2127-01-01T09:00:00Z":      time.Date(2127, 1, 1, 9, 0, 0, 0, time.UTC),
		"1s":                        soonest,
		"2027-01-01T09:00:00Z":      soonest,
		"2020-01-01T00:00:00Z":      soonest,
		"0s":                        soonest,
		"1ms":                       soonest,
		"-5m":                       soonest,
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			a := send(t, s, serve(t, answer(200, "Postdate-Reschedule", value)))
			require.Equal(t, postdate.Rescheduled, a.Outcome, a.Error)
			require.Equal(t, want, a.RescheduleTo)
			require.Empty(t, a.Error)
		})
	}
}

func TestSend_AcceptsAndRemarksOnARescheduleThatItCannotObey(t *testing.T) {
	t.Parallel()
	s := open()
	for _, value := range []string{
		"tomorrow", "60", "P1M", "P1Y", "2027-02-01", "2027-02-01 09:00:00", "876577h", "P36525D", "9999-01-01T00:00:00Z",
		"1h, 2h", strings.Repeat("9", 500) + "h",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			a := send(t, s, serve(t, answer(200, "Postdate-Reschedule", value)))
			require.Equal(t, postdate.Accepted, a.Outcome)
			require.Zero(t, a.RescheduleTo)
			require.Contains(t, a.Error, "postdate-reschedule was not ")
			require.Contains(t, a.Error, value[:min(len(value), 50)])
			require.Less(t, len(a.Error), 400)
		})
	}
}

func TestSend_ReadsRetryAfter(t *testing.T) {
	t.Parallel()
	s := open()
	date := func(d time.Duration, layout string) string { return fixed.Truncate(time.Second).Add(d).Format(layout) }
	for value, want := range map[string]time.Duration{
		"0":                              0,
		"1":                              time.Second,
		"120":                            2 * time.Minute,
		"0120":                           2 * time.Minute,
		"86400":                          postdate.MaxRetryAfter,
		"86401":                          postdate.MaxRetryAfter,
		"18446744073709551616":           postdate.MaxRetryAfter,
		strings.Repeat("9", 100):         postdate.MaxRetryAfter,
		"-1":                             0,
		"+60":                            0,
		"1.5":                            0,
		"60s":                            0,
		"soon":                           0,
		"":                               0,
		"2027-01-01T10:00:00Z":           0,
		"Fri, 01 Jan 2027 08:00:00 GMT":  0,
		date(time.Hour, http.TimeFormat): time.Hour,
		date(time.Hour, "Monday, 02-Jan-06 15:04:05 GMT"): time.Hour,
		date(time.Hour, time.ANSIC):                       time.Hour,
		date(48*time.Hour, http.TimeFormat):               postdate.MaxRetryAfter,
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			to := serve(t, answer(503, "Retry-After", value, "Date", date(0, http.TimeFormat)))
			require.Equal(t, want, send(t, s, to).RetryAfter.Duration())
		})
	}
}

// A receiver whose clock is wrong means the same by a date as by seconds.
func TestSend_ReadsTheDateOfRetryAfterByTheClockOfTheReceiver(t *testing.T) {
	t.Parallel()
	now := fixed.Truncate(time.Second)
	later := now.Add(time.Minute)
	for date, want := range map[string]time.Duration{
		now.Format(http.TimeFormat):                        time.Minute,
		now.Add(-40 * time.Second).Format(http.TimeFormat): 100 * time.Second,
		now.Add(50 * time.Second).Format(http.TimeFormat):  10 * time.Second,
		later.Add(time.Second).Format(http.TimeFormat):     0,
		"":    later.Sub(fixed),
		"now": later.Sub(fixed),
	} {
		header := http.Header{"Retry-After": {later.Format(http.TimeFormat)}, "Date": {date}}
		a := classify(&http.Response{StatusCode: http.StatusTooManyRequests, Header: header}, fixed)
		require.Equal(t, want, a.RetryAfter.Duration(), date)
	}
}

func TestSend_ReadsRetryAfterOfEveryFailureAndOfNothingElse(t *testing.T) {
	t.Parallel()
	s := open()
	for status, want := range map[int]time.Duration{
		429: time.Minute, 503: time.Minute, 404: time.Minute, 500: time.Minute, 302: time.Minute,
		200: 0, 202: 0, 410: 0,
	} {
		a := send(t, s, serve(t, answer(status, "Retry-After", "60")))
		require.Equal(t, want, a.RetryAfter.Duration(), status)
	}
	a := send(t, s, serve(t, answer(503, "Retry-After", "60", "Webhook-Delivery", "abort")))
	require.Zero(t, a.RetryAfter)
}
