package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// Options are what is measured, on what, and how much of it.
type Options struct {
	System system.Config
	Dir    string   // parent of the temporary data folders; empty: the system's
	Only   []string // scenarios; empty: all that belong to the run
	Quick  bool
	Rivals bool // whether the systems that Postdate is compared with are measured
	Rounds int

	Messages int           // in immediate, due_at_once, due_spread and tenants
	Singles  int           // in due_in_2s
	Pending  int           // in far_future
	Steady   time.Duration // how long steady lasts
	Streams  time.Duration // how long those of slow_crm and its like last
}

// Validate returns the first reason why o cannot be measured.
func (o Options) Validate() error {
	for _, name := range o.Only {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("no scenario %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	if min(o.System.Clients, o.Rounds, o.Messages, o.Singles, o.Pending) < 1 || min(o.Steady, o.Streams, o.System.BatchEvery) < time.Second {
		return errors.New("clients, rounds, messages, singles and pending are at least 1, steady, streams and batch-every at least 1s")
	}
	if o.System.Postgres != "" {
		_, err := rig.DatabaseURL(o.System.Postgres, "postgres")
		return err
	}
	return nil
}

// picks reports whether s is measured.
func (o Options) picks(s scenario) bool {
	switch {
	case len(o.Only) > 0:
		return slices.Contains(o.Only, s.name)
	case o.System.Postgres != "":
		return len(s.postgresRivals) > 0
	case o.Quick:
		return s.extent == Quick
	default:
		return s.extent != ByName
	}
}

// systems are those that s is measured on, Postdate first.
func (o Options) systems(s scenario) []string {
	postdate, rivals := system.PostdateSQLite, s.rivals
	if o.System.Postgres != "" {
		postdate, rivals = system.PostdatePostgres, s.postgresRivals
	}
	if !o.comparesIn(s) {
		rivals = nil
	}
	return append([]string{postdate}, rivals...)
}

// comparesIn reports whether s is measured on its rivals too. With --quick only
// immediate is: the rivals in due_at_once take longer than all the rest.
func (o Options) comparesIn(s scenario) bool {
	return o.Rivals && (!o.Quick || len(o.Only) > 0 || s.name == "immediate")
}

// rounds returns how often s is measured. What is judged by small differences is
// measured more often.
func (o Options) rounds(s scenario) int {
	switch {
	case len(s.rivals) == 0:
		return 1
	case s.name == "immediate":
		return 3 * o.Rounds
	default:
		return o.Rounds
	}
}
