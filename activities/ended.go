package activities

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// The types of the errors that end a delivery or its retries, and of the one that
// asks the engine for another attempt. They stand in its Web UI and in histories.
const (
	Dead      = "Dead"
	Expired   = "Expired"
	Parked    = "Parked"
	Cancelled = "Cancelled"
	Waiting   = "Waiting"
	retrying  = "Retrying"
)

// stateOf is the state in which an error of each type leaves a delivery.
var stateOf = map[string]postdate.State{
	Dead: postdate.Dead, Expired: postdate.Expired, Parked: postdate.Parked, Cancelled: postdate.Cancelled,
	Waiting: postdate.Waiting,
}

// kindOf is its inverse.
var kindOf = map[postdate.State]string{
	postdate.Dead: Dead, postdate.Expired: Expired, postdate.Parked: Parked, postdate.Cancelled: Cancelled,
	postdate.Waiting: Waiting,
}

// Ended is the error that says how a delivery ended without being delivered,
// or that it is parked. The log of its attempts goes with it.
func Ended(state postdate.State, reason string, log postdate.Attempts) error {
	options := temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{log}}
	if !state.Over() {
		options.Category = temporal.ApplicationErrorCategoryBenign // it goes on: no line in the log is due
	}
	return temporal.NewApplicationErrorWithOptions(reason, kindOf[state], options)
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
	if state, ended := stateOf[app.Type()]; ended {
		if app.HasDetails() {
			_ = app.Details(&log) // details that cannot be read leave the log as known
		}
		return state, app.Message(), log
	}
	if app.Type() == retrying {
		var last postdate.Attempt
		if err := app.Details(&last); err == nil && last.Number == log.Next() {
			log = log.With(last)
		}
	}
	return postdate.Retrying, "", log
}
