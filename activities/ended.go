package activities

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// The types of the errors that end a delivery, and of the one that asks the
// engine for another attempt. They stand in its Web UI and in histories.
const (
	Dead     = "Dead"
	Expired  = "Expired"
	retrying = "Retrying"
)

// Ended is the error that says how a delivery ended without being delivered:
// state is Dead or Expired. The log of its attempts goes with it.
func Ended(state postdate.State, reason string, log postdate.Attempts) error {
	kind := Dead
	if state == postdate.Expired {
		kind = Expired
	}
	return temporal.NewApplicationErrorWithOptions(reason, kind,
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{log}})
}

// again is the error that asks the engine to run Retry again after wait. It
// carries the newest attempt for the case that it is not run again, and little
// of that: the engine cuts such failures off at 4 KB.
func again(last postdate.Attempt, wait time.Duration) error {
	summary := last.Summary()
	last.Response = ""
	return temporal.NewApplicationErrorWithOptions(summary, retrying,
		temporal.ApplicationErrorOptions{
			NextRetryDelay: wait,
			Details:        []any{last},
			Category:       temporal.ApplicationErrorCategoryBenign, // its log line is the attempt's own
		})
}

// ReadEnd says how err, which Retry answered, leaves a delivery whose log was
// known up to log: its state, the reason, and its log now. The state is
// Retrying where Retry was stopped before anything was decided.
func ReadEnd(err error, log postdate.Attempts) (postdate.State, string, postdate.Attempts) {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok {
		return postdate.Retrying, "", log
	}
	switch app.Type() {
	case Dead, Expired:
		if app.HasDetails() {
			_ = app.Details(&log) // details that cannot be read leave the log as known
		}
		if app.Type() == Expired {
			return postdate.Expired, app.Message(), log
		}
		return postdate.Dead, app.Message(), log
	case retrying:
		var last postdate.Attempt
		if err := app.Details(&last); err == nil && last.Number == log.Next() {
			log = log.With(last)
		}
	}
	return postdate.Retrying, "", log
}
