package postdate

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"
)

// CanaryState is where an endpoint's canary stands.
type CanaryState string

// The states of a canary. The last two are its ends.
const (
	CanaryRunning    CanaryState = "running"
	CanaryHeld       CanaryState = "held"        // as it is: its plan goes no further
	CanaryPromoted   CanaryState = "promoted"    // its url is the endpoint's
	CanaryRolledBack CanaryState = "rolled_back" // all goes to the primary again
)

// CanaryEnd is what follows the last step of a canary's plan.
type CanaryEnd string

// The ends of a plan.
const (
	ThenHold    CanaryEnd = "hold"
	ThenPromote CanaryEnd = "promote"
)

// WholeShare is the share of all: shares are in 1/10,000.
const WholeShare = 10_000

// Canary is another url of an endpoint, for the messages of some entities. Beside it, the
// endpoint's own url is the primary.
type Canary struct {
	// ID salts the choice of entities: another canary chooses others.
	ID  string `json:"id"`
	URL string `json:"url,omitempty"`
	// Entities go there and ExcludedEntities do not, whatever the share. Both are sorted.
	Entities         []string `json:"entities,omitempty"`
	ExcludedEntities []string `json:"excluded_entities,omitempty"`
	// Share is how many of all other entities go there now, in 1/10,000.
	Share int `json:"share,omitempty"`
	// Mirror: they go to the primary, and a copy of each first attempt to the canary.
	Mirror      bool       `json:"mirror,omitempty"`
	RateLimit   *RateLimit `json:"rate_limit,omitempty"`
	MaxInFlight int        `json:"max_in_flight,omitempty"`
	// Plan is how the share grows, and Then what follows it.
	Plan         []CanaryStep  `json:"plan,omitempty"`
	Then         CanaryEnd     `json:"then,omitempty"`
	AutoRollback *AutoRollback `json:"auto_rollback,omitempty"`

	State CanaryState `json:"state,omitempty"`
	// Reason says why it is held or rolled back.
	Reason string `json:"reason,omitempty"`
	// Step is the place in the plan, and StepAt when that began, or the canary itself.
	Step      int       `json:"step,omitempty"`
	StepAt    time.Time `json:"step_at,omitzero"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// CanaryStep is a share that holds for a while.
type CanaryStep struct {
	Percent float64 `json:"percent"`
	// For is how long. The last step may have none: then the plan ends with it at once.
	For Duration `json:"for,omitempty"`
}

// share is the step's share in 1/10,000.
func (s CanaryStep) share() int { return int(math.Round(s.Percent * 100)) }

// AutoRollback says when a canary is rolled back by itself.
type AutoRollback struct {
	// Margin is by how many percentage points less of the canary's attempts succeed.
	Margin float64 `json:"margin"`
	// Minimum is how many attempts each side must have had.
	Minimum int `json:"minimum"`
	// Window bounds the time that is looked back. 0: [DefaultCanaryWindow].
	Window Duration `json:"window,omitempty"`
}

// DefaultCanaryWindow is how far back both sides are compared.
const DefaultCanaryWindow = time.Hour

// Active reports whether something goes to c. Nil never is.
func (c *Canary) Active() bool {
	return c != nil && (c.State == CanaryRunning || c.State == CanaryHeld)
}

// Takes reports whether the messages of an entity are c's. Those of no entity never are.
func (c *Canary) Takes(entity string) bool {
	switch {
	case entity == "" || contains(c.ExcludedEntities, entity):
		return false
	case contains(c.Entities, entity):
		return true
	}
	return CanaryBucket(c.ID, entity) < c.Share
}

func contains(sorted []string, entity string) bool {
	_, found := slices.BinarySearch(sorted, entity)
	return found
}

// CanaryBucket is the place of an entity among 10,000, from 0, where a canary of that id
// chooses: a share takes the places below it, so a share that grows keeps whom it has. It
// never changes: entities must not move with a new version.
func CanaryBucket(id, entity string) int {
	hash := sha256.Sum256([]byte(id + "\n" + entity))
	return int(binary.BigEndian.Uint64(hash[:8]) % WholeShare)
}

// Begun is c as it begins at now, in the place of the canary before it. One of the same url
// that is active goes on under its id, and so with its entities.
func (c *Canary) Begun(before *Canary, now time.Time) *Canary {
	begun := *c
	begun.State, begun.Reason, begun.Step, begun.StepAt, begun.CreatedAt, begun.EndedAt = CanaryRunning, "", 0, now, now, time.Time{}
	if before.Active() && before.URL == c.URL {
		begun.ID, begun.CreatedAt = before.ID, before.CreatedAt
	}
	if len(c.Plan) > 0 {
		begun.Share, begun.Then = c.Plan[0].share(), cmp.Or(c.Then, ThenHold)
	}
	return &begun
}

// Advanced is c in a later step of its plan, which begins at now.
func (c *Canary) Advanced(step int, now time.Time) *Canary {
	advanced := *c
	advanced.Step, advanced.StepAt, advanced.Share = step, now, c.Plan[step].share()
	return &advanced
}

// StepEnds is when c's step is over: zero where c goes no further by itself.
func (c *Canary) StepEnds() time.Time {
	if c == nil || c.State != CanaryRunning || c.Step >= len(c.Plan) {
		return time.Time{}
	}
	return c.StepAt.Add(c.Plan[c.Step].For.Duration())
}

// Settings is c without what only attempts need: its url, and its lists of entities.
func (c *Canary) Settings() *Canary {
	if c == nil {
		return nil
	}
	settings := *c
	settings.URL, settings.Entities, settings.ExcludedEntities = "", nil, nil
	return &settings
}

// Side is where an attempt at a message of an entity goes: to the canary of that id, or
// where it is empty to the primary. An attempt that follows another goes where that one,
// took, went, unless that canary takes nothing any more. Took is empty of a first attempt.
func (e Endpoint) Side(entity, took string) (canary string) {
	c := e.Canary
	switch {
	case !c.Active() || c.Mirror || took == TookPrimary:
		return ""
	case took == c.ID || took == "" && c.Takes(entity):
		return c.ID
	}
	return ""
}

// TookPrimary says of an attempt that it went to the primary.
const TookPrimary = "primary"

// At is e as it is to one side: e itself, or its canary as an endpoint of its own, with the
// url and the pace of the canary. Its id is a [CanaryKey].
func (e Endpoint) At(canary string) Endpoint {
	c := e.Canary
	if canary == "" || c == nil || c.ID != canary {
		return e
	}
	e.ID, e.URL, e.RateLimit, e.MaxInFlight = CanaryKey(e.ID, canary), c.URL, c.RateLimit, c.MaxInFlight
	e.Canary = nil
	return e
}

// CanaryKey names a canary's pace, breaker and queue, beside those of its endpoint: of no
// canary it is the endpoint's id.
func CanaryKey(endpoint, canary string) string {
	if canary == "" {
		return endpoint
	}
	return endpoint + "/" + canary
}

// SplitCanaryKey is the inverse of [CanaryKey].
func SplitCanaryKey(key string) (endpoint, canary string) {
	endpoint, canary, _ = strings.Cut(key, "/")
	return endpoint, canary
}

// LookBack is how far back r compares: of nil the default.
func (r *AutoRollback) LookBack() time.Duration {
	if r == nil || r.Window == 0 {
		return DefaultCanaryWindow
	}
	return r.Window.Duration()
}

// IsZero reports whether nothing is said of c.
func (c *Canary) IsZero() bool {
	return c.URL == "" && len(c.Entities) == 0 && len(c.ExcludedEntities) == 0 && c.Share == 0 && !c.Mirror && c.RateLimit == nil &&
		c.MaxInFlight == 0 && len(c.Plan) == 0 && c.Then == "" && c.AutoRollback == nil
}
