package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postdate/postdate"
)

// The headers by which a receiver says more than its status does.
const (
	// headerReschedule, on a 2xx, asks for the same message again: at a time
	// (RFC 3339) or after a duration (Go's form or ISO 8601's).
	headerReschedule = "Postdate-Reschedule"
	// headerDelivery controls the delivery, as proposed for Standard Webhooks:
	// "abort-message" (or "abort"), except on a 2xx, ends it, and "disable", on any answer,
	// disables the endpoint.
	headerDelivery = "Webhook-Delivery"
	// headerRecurrence with the value "stop", on any answer, asks that no further tick of
	// the recurring schedule be sent.
	headerRecurrence = "Postdate-Recurrence"
	stop             = "stop"
)

// The headers that say for which tick of a recurring schedule a message is: its number
// and its nominal time.
const (
	headerTick        = "Postdate-Tick"
	headerNominalTime = "Postdate-Nominal-Time"
)

// The headers of a message to an endpoint's canary: the canary's id, and that the message is
// a copy of one that went to the primary.
const (
	headerCanary = "Postdate-Canary"
	headerMirror = "Postdate-Mirror"
)

// minReschedule is the soonest that a rescheduled message is sent again, also
// where the receiver named a time that has passed: a receiver that always says
// "now" must not be called in a loop as fast as it can answer.
const minReschedule = time.Second

// classify says what an answer that came at now means, by its status and headers.
func classify(response *http.Response, now time.Time) postdate.Attempt {
	abort, disable := deliveryRequests(response.Header.Values(headerDelivery))
	a := postdate.Attempt{
		Outcome: postdate.Failed, Status: response.StatusCode, Disable: disable,
		StopRecurrence: strings.EqualFold(strings.TrimSpace(response.Header.Get(headerRecurrence)), stop),
	}
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
		a.Outcome = postdate.Accepted
		if value := response.Header.Get(headerReschedule); value != "" {
			reschedule(&a, value, now)
		}
	case status == http.StatusGone, disable:
		a.Outcome = postdate.Gone
	case abort:
		a.Outcome = postdate.Aborted
	default:
		a.RetryAfter = retryAfter(response.Header, now)
		if isRedirect(status) {
			a.Error = "redirects are not followed: give the url that this one leads to"
		}
	}
	return a
}

// deliveryRequests parses the values of headerDelivery: one word, or several separated by
// commas.
func deliveryRequests(values []string) (abort, disable bool) {
	for word := range strings.SplitSeq(strings.Join(values, ","), ",") {
		switch strings.ToLower(strings.TrimSpace(word)) {
		case "abort", "abort-message":
			abort = true
		case "disable":
			disable = true
		}
	}
	return abort, disable
}

// isRedirect reports whether an answer of that status names another url.
func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	default:
		return false
	}
}

// reschedule makes a Rescheduled of an Accepted, to the moment that value names.
func reschedule(a *postdate.Attempt, value string, now time.Time) {
	to, ok := parseMoment(value, now)
	switch soonest := now.Add(minReschedule); {
	case !ok:
		a.Error = fmt.Sprintf("%s was not understood: %q is neither a time (RFC 3339) nor a duration", strings.ToLower(headerReschedule), excerpt(value))
		return
	case to.After(postdate.Furthest(now)):
		a.Error = fmt.Sprintf("%s was not obeyed: %q is more than 100 years ahead", strings.ToLower(headerReschedule), excerpt(value))
		return
	case to.Before(soonest):
		to = soonest
	}
	a.Outcome, a.RescheduleTo = postdate.Rescheduled, to.UTC().Round(0)
}

// parseMoment reads a time, or a duration from now.
func parseMoment(value string, now time.Time) (time.Time, bool) {
	value = strings.TrimSpace(value)
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		return at, true
	}
	after, err := postdate.ParseDuration(value)
	return now.Add(after.Duration()), err == nil
}

// retryAfter parses the header Retry-After (RFC 9110 §10.2.3): seconds, or a date, which is
// compared with the answer's own Date, since both are by the receiver's clock. A value that
// is neither, or has passed, is 0.
func retryAfter(header http.Header, now time.Time) postdate.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	var wait time.Duration
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil || seconds > uint64(postdate.MaxRetryAfter/time.Second) { // err: too long a number
			return postdate.Duration(postdate.MaxRetryAfter)
		}
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		if written, err := http.ParseTime(header.Get("Date")); err == nil {
			now = written
		}
		wait = date.Sub(now)
	}
	return postdate.Duration(min(max(wait, 0), postdate.MaxRetryAfter))
}
