// Package rig is what a measurement stands on: child processes and what they cost,
// a folder and a database for them, messages handed over at full speed or at a
// fixed pace, and receivers that note when each message arrived. It knows nothing
// of the systems that are measured.
package rig

import (
	"context"
	"fmt"
	"os"
)

// Rig is what one measurement has for itself: an empty folder, a receiver for what
// is sent and, where the system needs one, a database.
type Rig struct {
	Dir      string
	Receiver *Receiver
	Database *Database // nil unless CreateDatabase was called
}

// Open makes the folder in parent ("" for the system's temporary folder) and starts
// the receiver.
func Open(ctx context.Context, parent string) (*Rig, error) {
	dir, err := os.MkdirTemp(parent, "postdate-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a data folder: %w", err)
	}
	r := &Rig{Dir: dir}
	if r.Receiver, err = StartReceiver(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// CreateDatabase makes a new database in the PostgreSQL server at that URL. Close
// drops it.
func (r *Rig) CreateDatabase(ctx context.Context, server string) error {
	var err error
	r.Database, err = createDatabase(ctx, server)
	return err
}

// Close removes all that the rig has. Stop the processes that use it first.
func (r *Rig) Close() {
	if r.Database != nil {
		r.Database.drop()
	}
	if r.Receiver != nil {
		r.Receiver.Stop()
	}
	_ = os.RemoveAll(r.Dir)
}
