package protocol

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// The types of the errors that end a delivery or its retries, and of the two that request
// another attempt from Temporal: after one that failed, and where none could be made. Its Web UI shows them, and histories record them.
const (
	FailureDead      = "Dead"
	FailureExpired   = "Expired"
	FailureParked    = "Parked"
	FailureCancelled = "Cancelled"
	FailureWaiting   = "Waiting"
	FailureRetrying  = "Retrying"
	FailureRefused   = "Refused"
	FailureInternal  = "Internal"
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

// EncodeEnd is the error that says how a delivery ended without being delivered, or that
// it is parked or waits. It carries the log of attempts.
func EncodeEnd(state postdate.State, reason string, log postdate.Attempts) error {
	options := temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{log}}
	if !state.Final() {
		options.Category = temporal.ApplicationErrorCategoryBenign // the delivery continues: nothing to log
	}
	return temporal.NewApplicationErrorWithOptions(reason, failureOf[state], options)
}

// EncodeRetry is the error that has Temporal run Retry again after wait. It carries the
// newest attempt in case it is not run again, without its response: Temporal truncates
// such failures at 4 KB.
func EncodeRetry(last postdate.Attempt, wait time.Duration) error {
	summary := last.Summary()
	last.Response = ""
	return temporal.NewApplicationErrorWithOptions(summary, FailureRetrying,
		temporal.ApplicationErrorOptions{
			NextRetryDelay: wait,
			Details:        []any{last},
			Category:       temporal.ApplicationErrorCategoryBenign, // the attempt itself is logged
		})
}

// EncodeRefusal is the error of an attempt that was not made, since no permit came: one is to
// be asked for again after wait. Where Retry returns it, Temporal runs that again then.
func EncodeRefusal(reason string, wait time.Duration) error {
	return temporal.NewApplicationErrorWithOptions(reason, FailureRefused,
		temporal.ApplicationErrorOptions{NextRetryDelay: wait, Category: temporal.ApplicationErrorCategoryBenign})
}

// DecodeRefusal is its inverse. Refusals that were recorded as "NoPermit" are none: those
// histories go on with Retry, which asks again.
func DecodeRefusal(err error) (reason string, wait time.Duration, ok bool) {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || app.Type() != FailureRefused {
		return "", 0, false
	}
	return app.Message(), app.NextRetryDelay(), true
}

// EncodeInternal is the error that has Temporal run Retry again after wait, since no
// attempt could be made because of err, a failure of our own.
func EncodeInternal(err error, wait time.Duration) error {
	return temporal.NewApplicationErrorWithOptions(err.Error(), FailureInternal, temporal.ApplicationErrorOptions{NextRetryDelay: wait})
}

// DecodeEnd returns the state in which err, an error of Retry, leaves a delivery, the
// reason, and its log of attempts, given the log before. The state is Retrying where Retry
// was stopped before anything was decided.
func DecodeEnd(err error, log postdate.Attempts) (postdate.State, string, postdate.Attempts) {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok {
		return postdate.Retrying, "", log
	}
	if state, ended := stateOf[app.Type()]; ended {
		if app.HasDetails() {
			_ = app.Details(&log) // details that cannot be read leave the log as it was
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

// errorCodes are the codes with which Updates are refused.
var errorCodes = []postdate.Code{postdate.Invalid, postdate.NotFound, postdate.Conflict, postdate.Unavailable}

// EncodeError encodes a [postdate.Error] as one that Temporal carries to the caller, who
// decodes it by [DecodeError].
func EncodeError(err error) error {
	var refusal *postdate.Error
	if !errors.As(err, &refusal) {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(refusal.Detail, string(refusal.Code),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{refusal.Pointer}})
}

// DecodeError returns why an Update was refused, and whether it was.
func DecodeError(err error) (*postdate.Error, bool) {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || !slices.Contains(errorCodes, postdate.Code(app.Type())) {
		return nil, false // Temporal's own errors have this Go type too
	}
	refusal := &postdate.Error{Code: postdate.Code(app.Type()), Detail: app.Message()}
	if app.HasDetails() {
		_ = app.Details(&refusal.Pointer) // without it the error names no field, and still says why
	}
	return refusal, true
}
