// Package ledger knows deliveries: it starts them, finds them, reads what became
// of them and changes their course. All it knows it asks the engine.
package ledger

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// Config is what a ledger needs to know.
type Config struct {
	Temporal client.Client
	// DataConverter is Temporal's: the default one where it is nil.
	DataConverter converter.DataConverter
	// Namespace is Temporal's: "default" where it is empty.
	Namespace string
	// Directory knows who subscribed to what.
	Directory interface {
		Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
	}
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own. Default 100.
	MaxInFlight int
	// DuePerSecond is how many of what a tenant has due within one second are woken
	// then, and in each second that follows. 0: all.
	DuePerSecond int
	// EagerStart hands what is due at once straight to a worker in this process,
	// if one runs here on the same Temporal client.
	EagerStart bool
	// WorkerPolling tells whether any worker polls for deliveries.
	WorkerPolling func(context.Context) (bool, error)
	Log           *slog.Logger
	Now           func() time.Time
}

// Ledger starts, finds, reads and changes deliveries. It is safe for concurrent use.
type Ledger struct {
	Config
	failures  converter.FailureConverter
	gathering *gathering
	lining    *lining
	crowding  *crowding
}

// New makes a ledger.
func New(c Config) *Ledger {
	if c.DataConverter == nil {
		c.DataConverter = converter.GetDefaultDataConverter()
	}
	if c.Namespace == "" {
		c.Namespace = client.DefaultNamespace
	}
	c.MaxInFlight = cmp.Or(c.MaxInFlight, postdate.DefaultInFlight)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	l := &Ledger{
		Config: c,
		failures: temporal.NewDefaultFailureConverter(
			temporal.DefaultFailureConverterOptions{DataConverter: c.DataConverter}),
		gathering: &gathering{waiting: make(map[lane][]*passenger)},
		lining:    newLining(),
	}
	l.crowding = newCrowding(c.DuePerSecond, l.countOpen)
	return l
}

// unknown refuses what nothing is known of.
func unknown(id string) error {
	return postdate.Errorf(postdate.NotFound, "", "nothing is known of %q: it was never made, or it ended long ago", id)
}
