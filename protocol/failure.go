package protocol

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// The types of the errors that end a delivery or its retries, and of the one that
// asks the engine for another attempt. They stand in its Web UI and in histories.
const (
	FailureDead      = "Dead"
	FailureExpired   = "Expired"
	FailureParked    = "Parked"
	FailureCancelled = "Cancelled"
	FailureWaiting   = "Waiting"
	FailureRetrying  = "Retrying"
)

// stateOf is the state in which an error of each type leaves a delivery.
var stateOf = map[string]postdate.State{
	FailureDead: postdate.Dead, FailureExpired: postdate.Expired, FailureParked: postdate.Parked, FailureCancelled: postdate.Cancelled,
	FailureWaiting: postdate.Waiting,
}

// failureOf is its inverse.
var failureOf = map[postdate.State]string{
	postdate.Dead: FailureDead, postdate.Expired: FailureExpired, postdate.Parked: FailureParked, postdate.Cancelled: FailureCancelled,
	postdate.Waiting: FailureWaiting,
}

// EncodeEnd is the error that says how a delivery ended without being delivered,
// or that it is parked. The log of its attempts goes with it.
func EncodeEnd(state postdate.State, reason string, log postdate.Attempts) error {
	options := temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{log}}
	if !state.Final() {
		options.Category = temporal.ApplicationErrorCategoryBenign // it goes on: no line in the log is due
	}
	return temporal.NewApplicationErrorWithOptions(reason, failureOf[state], options)
}

// again is the error that asks the engine to run Retry again after wait. It
// carries the newest attempt for the case that it is not run again, and little
// of that: the engine cuts such failures off at 4 KB.
func EncodeRetry(last postdate.Attempt, wait time.Duration) error {
	summary := last.Summary()
	last.Response = ""
	return temporal.NewApplicationErrorWithOptions(summary, FailureRetrying,
		temporal.ApplicationErrorOptions{
			NextRetryDelay: wait,
			Details:        []any{last},
			Category:       temporal.ApplicationErrorCategoryBenign, // its log line is the attempt's own
		})
}

// DecodeEnd says how err, which Retry answered, leaves a delivery whose log was
// known up to log: its state, the reason, and its log now. The state is
// Retrying where Retry was stopped before anything was decided.
func DecodeEnd(err error, log postdate.Attempts) (postdate.State, string, postdate.Attempts) {
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
	if app.Type() == FailureRetrying {
		var last postdate.Attempt
		if err := app.Details(&last); err == nil && last.Number == log.Next() {
			log = log.Append(last)
		}
	}
	return postdate.Retrying, "", log
}

// refusals are the codes with which Updates are refused.
var errorCodes = []postdate.Code{postdate.Invalid, postdate.NotFound, postdate.Conflict, postdate.Unavailable}

// refuse makes of a [postdate.Error] one that the engine carries to the caller.
// [DecodeError] makes it what it was.
func EncodeError(err error) error {
	var told *postdate.Error
	if !errors.As(err, &told) {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(told.Detail, string(told.Code),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{told.Pointer}})
}

// DecodeError is the reason for which an Update was refused, if it was.
func DecodeError(err error) (*postdate.Error, bool) {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || !slices.Contains(errorCodes, postdate.Code(app.Type())) {
		return nil, false // the engine's own errors have this type too
	}
	told := &postdate.Error{Code: postdate.Code(app.Type()), Detail: app.Message()}
	if app.HasDetails() {
		_ = app.Details(&told.Pointer) // without it the answer names no field, and still says why
	}
	return told, true
}
