package receiver

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

// ErrBusy is wrapped by what a [Store] returns when it could not mark a message
// because other transactions were in the way. Nothing was done; the message is to
// be sent again soon.
var ErrBusy = errors.New("another copy of the message, or the database, is busy")

// isBusy reports whether other transactions were in the way, so that the same
// transaction can succeed a moment later. It recognises the errors of databases
// without importing their drivers.
func isBusy(err error) bool {
	if errors.Is(err, ErrBusy) {
		return true
	}
	var postgres interface{ SQLState() string } // of pgx and lib/pq
	if errors.As(err, &postgres) {
		switch postgres.SQLState() {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
			return true
		}
	}
	text := err.Error()
	for _, busy := range []string{
		"database is locked", "database table is locked", // SQLite
		"try restarting transaction", // MySQL: deadlock, lock wait timeout
	} {
		if strings.Contains(text, busy) {
			return true
		}
	}
	return false
}

// whileBusy repeats a transaction, after pauses of a few milliseconds at first and
// up to 150 ms, until it is not refused by a busy database or ctx is done.
func whileBusy(ctx context.Context, transaction func() error) error {
	const longest = 100 * time.Millisecond
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, longest) {
		err := transaction()
		if err == nil || !isBusy(err) {
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return err
		}
	}
}
