package receiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/postdate/postdate/signature"
)

// What a [Config] stands for where it says nothing.
const (
	DefaultMaxBody = 1 << 20
	DefaultWait    = 5 * time.Second
	DefaultTimeout = time.Minute
)

// Config says how a [Receiver] receives. The zero value is for messages from a
// broker; webhooks need Secrets.
type Config struct {
	// Secrets verify webhooks, as [signature.ParseVerifier] reads them: secrets
	// (whsec_…) or public keys (whpk_…). A signature by one of them is enough, so
	// that while a secret is rotated both stand here.
	Secrets []signature.Verifier
	// Tolerance is how far a webhook's timestamp may be from now.
	// Default [signature.DefaultTolerance].
	Tolerance time.Duration
	// MaxBody bounds a webhook's body, in bytes. Default [DefaultMaxBody].
	MaxBody int64
	// Wait is how long a copy waits while another is being handled. It must be
	// shorter than the sender's timeout. Default [DefaultWait].
	Wait time.Duration
	// Timeout is how long the function and its transaction may take. A webhook's
	// function is not interrupted when its sender hangs up: the next copy is then
	// answered at once. Default [DefaultTimeout].
	Timeout time.Duration
	// Logger gets a line for each message that is not handled. Default [slog.Default].
	Logger *slog.Logger
}

// Func handles a message. What it does with tx is committed together with the
// mark that the message is handled, or not at all. What it returns decides what
// becomes of the message: see [RetryAfter], [Abort] and [Reschedule].
type Func[Tx any] func(ctx context.Context, tx Tx, m Message) error

// Receiver calls a function once for each message, however often the message
// arrives. It is an [http.Handler] for webhooks; messages from a broker are given
// to [Receiver.Handle].
type Receiver struct {
	config   Config
	inFlight inFlight
	now      func() time.Time
	// once is [Store.Once] around the function. It calls begin right before.
	once func(ctx context.Context, m Message, begin func() error) (Mark, error)
}

// New makes a receiver that keeps in store which messages it has handled, and
// handles them by do.
func New[Tx any](config Config, store Store[Tx], do Func[Tx]) (*Receiver, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	if store == nil || do == nil {
		return nil, errors.New("receiver: a store and a function are needed")
	}
	if checked, ok := store.(interface{ validate() error }); ok {
		if err := checked.validate(); err != nil {
			return nil, fmt.Errorf("receiver: %w", err)
		}
	}
	config.Tolerance = cmp.Or(config.Tolerance, signature.DefaultTolerance)
	config.MaxBody = cmp.Or(config.MaxBody, DefaultMaxBody)
	config.Wait = cmp.Or(config.Wait, DefaultWait)
	config.Timeout = cmp.Or(config.Timeout, DefaultTimeout)
	config.Logger = cmp.Or(config.Logger, slog.Default())
	return &Receiver{config: config, now: time.Now, once: func(ctx context.Context, m Message, begin func() error) (Mark, error) {
		return store.Once(ctx, m.ID, m.SentAt, func(ctx context.Context, tx Tx) (time.Time, error) {
			if err := begin(); err != nil {
				return time.Time{}, err
			}
			return rescheduleTo(do(ctx, tx, m), m.SentAt)
		})
	}}, nil
}

func (c Config) validate() error {
	if c.Tolerance < 0 || c.MaxBody < 0 || c.Wait < 0 || c.Timeout < 0 {
		return errors.New("none of Tolerance, MaxBody, Wait and Timeout may be negative")
	}
	for i, secret := range c.Secrets {
		if secret == nil || secret.IsZero() {
			return fmt.Errorf("secret %d of %d is empty: read it with signature.ParseVerifier", i+1, len(c.Secrets))
		}
	}
	return nil
}

// Handle handles a message that did not come by HTTP, such as one from a broker,
// and says what to do with it there: acknowledge it if it is Accepted, deliver it
// again if it Failed or is Rescheduled, and put it with the dead letters if it is
// Aborted. It verifies no signature. m needs an ID; where SentAt is zero, it is now.
//
// If ctx is done before the work is committed, everything is rolled back.
func (r *Receiver) Handle(ctx context.Context, m Message) Result {
	return r.handle(ctx, ctx, m)
}

// handle waits for other copies until waiting is done, and works until working is.
func (r *Receiver) handle(waiting, working context.Context, m Message) Result {
	if m.SentAt.IsZero() {
		m.SentAt = r.now()
	}
	if err := m.validate(); err != nil {
		return r.log(working, m, Result{Outcome: Aborted, Err: err})
	}
	return r.log(working, m, resultOf(r.handleOnce(waiting, working, m)))
}

func (r *Receiver) handleOnce(waiting, working context.Context, m Message) (Mark, error) {
	waiting, stopWaiting := context.WithTimeout(waiting, r.config.Wait)
	defer stopWaiting()
	release, err := r.inFlight.acquire(waiting, m.ID)
	if err != nil {
		return Mark{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	defer release()

	ctx, cancel := context.WithCancelCause(working)
	defer cancel(nil)
	stopsWaiting := context.AfterFunc(waiting, func() { cancel(waiting.Err()) })
	var timer *time.Timer
	mark, err := r.recovered(ctx, m, func() error {
		if !stopsWaiting() {
			return waiting.Err()
		}
		timer = time.AfterFunc(r.config.Timeout, func() { cancel(errTimeout) })
		return nil
	})
	switch begun := timer != nil; {
	case begun:
		timer.Stop()
		if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
			err = fmt.Errorf("the function took longer than %s, its Timeout: %w", r.config.Timeout, err)
		}
	case err != nil && waiting.Err() != nil && !errors.Is(err, ErrBusy):
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return mark, err
}

// errTimeout is why a function was interrupted, for handleOnce alone.
var errTimeout = errors.New("timeout")

// recovered is once, with a panic as an error: by then the store has rolled back.
func (r *Receiver) recovered(ctx context.Context, m Message, begin func() error) (mark Mark, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value, debug.Stack()}
		}
	}()
	return r.once(ctx, m, begin)
}

// log writes a line about a message that is not handled, and returns result.
func (r *Receiver) log(ctx context.Context, m Message, result Result) Result {
	level, text := slog.LevelError, "failed to handle message"
	switch {
	case result.Err == nil:
		return result
	case result.Outcome == Aborted:
		level, text = slog.LevelWarn, "message aborted"
	case result.RetryAfter > 0:
		level, text = slog.LevelInfo, "message not handled yet"
	}
	attrs := []slog.Attr{slog.String("message", m.ID), slog.String("type", m.Type), slog.Any("error", result.Err)}
	if panicked, ok := errors.AsType[*panicError](result.Err); ok {
		attrs = append(attrs, slog.String("stack", string(panicked.stack)))
	}
	r.config.Logger.LogAttrs(ctx, level, text, attrs...)
	return result
}
