package postdate

import (
	"bytes"
	"encoding/json"
	"time"
)

// CatchUp says which ticks are made up for that were missed while nothing ran.
// In JSON, the mode may stand alone.
type CatchUp struct {
	Mode CatchUpMode `json:"mode,omitempty"`
	// Within leaves out what was due longer ago. nil: no bound.
	Within *Duration `json:"within,omitempty"`
}

// CatchUpMode says how many of the missed ticks are made up for.
type CatchUpMode string

// The default is [CatchUpAll].
const (
	CatchUpAll  CatchUpMode = "all"
	CatchUpOne  CatchUpMode = "one" // the latest
	CatchUpNone CatchUpMode = "none"
)

// UnmarshalJSON reads an object, or the mode alone as a string.
func (c *CatchUp) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		*c = CatchUp{}
		return json.Unmarshal(text, &c.Mode)
	}
	type plain CatchUp
	return json.Unmarshal(text, (*plain)(c))
}

func (c CatchUp) validate(pointer string) error {
	switch c.Mode {
	case "", CatchUpAll, CatchUpOne, CatchUpNone:
	default:
		return Errorf(Invalid, pointer+"/mode", "must be all, one or none")
	}
	switch {
	case c.Within == nil:
		return nil
	case c.Mode == CatchUpNone:
		return Errorf(Invalid, pointer+"/within", "nothing is caught up with")
	case *c.Within <= 0 || c.Within.Duration() > MaxDelay:
		return Errorf(Invalid, pointer+"/within", "more than 0 and at most 100 years")
	}
	return nil
}

// Allows reports whether c makes up for a tick that was due so long ago.
func (c *CatchUp) Allows(late time.Duration) bool {
	return c == nil || c.Mode != CatchUpNone && (c.Within == nil || late <= c.Within.Duration())
}

// One reports whether c makes up for the latest of the missed ticks alone.
func (c *CatchUp) One() bool { return c != nil && c.Mode == CatchUpOne }
