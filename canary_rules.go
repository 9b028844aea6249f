package postdate

import (
	"errors"
	"math"
	"strconv"
	"time"
)

const (
	maxCanaryEntities = 1000
	maxCanarySteps    = 20
	maxCanaryStep     = 365 * 24 * time.Hour
	minCanaryWindow   = 10 * time.Second
	maxCanaryWindow   = 7 * 24 * time.Hour
	maxCanaryMinimum  = 1_000_000
)

// Validate reports the first rule that c breaks.
func (c *Canary) Validate(allowHTTP bool) error {
	if err := validateURL("/canary/url", c.URL, allowHTTP); err != nil {
		return err
	}
	switch {
	case c.Share < 0 || c.Share > WholeShare:
		return Errorf(Invalid, "/canary/share", "from 0 to %d, in 1/10,000", WholeShare)
	case len(c.Entities) == 0 && c.Share == 0 && len(c.Plan) == 0:
		return Errorf(Invalid, "/canary", "entities, a share or a plan are needed: nothing would go there")
	case c.MaxInFlight < 0 || c.MaxInFlight > MaxInFlight:
		return Errorf(Invalid, "/canary/max_in_flight", "from 1 to %d", MaxInFlight)
	}
	if err := c.validateEntities(); err != nil {
		return err
	}
	if c.RateLimit != nil {
		if refused, ok := errors.AsType[*Error](c.RateLimit.Validate()); ok {
			return Errorf(refused.Code, "/canary"+refused.Pointer, "%s", refused.Detail)
		}
	}
	if err := c.validatePlan(); err != nil {
		return err
	}
	if c.AutoRollback != nil {
		return c.AutoRollback.validate()
	}
	return nil
}

func (c *Canary) validateEntities() error {
	for pointer, entities := range map[string][]string{"/canary/entities": c.Entities, "/canary/excluded_entities": c.ExcludedEntities} {
		if len(entities) > maxCanaryEntities {
			return Errorf(Invalid, pointer, "at most %d entities", maxCanaryEntities)
		}
		for i, entity := range entities {
			if err := validateName(pointer+"/"+strconv.Itoa(i), entity); err != nil {
				return err
			}
		}
	}
	return nil
}

// validatePlan checks that the plan grows, and comes to an end.
func (c *Canary) validatePlan() error {
	switch {
	case len(c.Plan) > maxCanarySteps:
		return Errorf(Invalid, "/canary/plan", "at most %d steps", maxCanarySteps)
	case c.Then != "" && c.Then != ThenHold && c.Then != ThenPromote:
		return Errorf(Invalid, "/canary/then", "%q or %q", ThenHold, ThenPromote)
	case c.Then != "" && len(c.Plan) == 0:
		return Errorf(Invalid, "/canary/then", "is what follows a plan, and there is none")
	case c.Then == ThenPromote && c.Mirror:
		return Errorf(Invalid, "/canary/then", "a mirror is not promoted by itself: what its answers mean, nobody has acted on")
	}
	before := 0.0
	for i, step := range c.Plan {
		pointer := "/canary/plan/" + strconv.Itoa(i)
		hundredths := step.Percent * 100
		switch {
		case math.IsNaN(step.Percent) || step.Percent < 0 || step.Percent > 100 || math.Abs(hundredths-math.Round(hundredths)) > 1e-6:
			return Errorf(Invalid, pointer+"/percent", "from 0 to 100, in steps of 0.01")
		case step.Percent < before:
			return Errorf(Invalid, pointer+"/percent", "a share does not shrink: nobody is sent back")
		case step.For < 0 || step.For.Duration() > maxCanaryStep:
			return Errorf(Invalid, pointer+"/for", "more than 0, and at most a year")
		case step.For == 0 && i < len(c.Plan)-1:
			return Errorf(Invalid, pointer+"/for", "every step but the last one takes a while")
		}
		before = step.Percent
	}
	return nil
}

func (r *AutoRollback) validate() error {
	switch {
	case math.IsNaN(r.Margin) || r.Margin <= 0 || r.Margin >= 100:
		return Errorf(Invalid, "/canary/auto_rollback/margin", "more than 0 and less than 100 percentage points")
	case r.Minimum < 1 || r.Minimum > maxCanaryMinimum:
		return Errorf(Invalid, "/canary/auto_rollback/minimum", "from 1 to %d attempts on each side", maxCanaryMinimum)
	case r.Window != 0 && (r.Window.Duration() < minCanaryWindow || r.Window.Duration() > maxCanaryWindow):
		return Errorf(Invalid, "/canary/auto_rollback/window", "from %s to %s", minCanaryWindow, maxCanaryWindow)
	}
	return nil
}

// validateCanary checks e's canary. One that has ended is only remembered.
func (e Endpoint) validateCanary(allowHTTP bool) error {
	switch {
	case e.Canary.State == CanaryPromoted || e.Canary.State == CanaryRolledBack:
		return nil
	case e.URL == "":
		return Errorf(Invalid, "/canary", "only an endpoint with a url has one")
	case e.Canary.URL == e.URL && e.Canary.State == "":
		return Errorf(Invalid, "/canary/url", "is the endpoint's own: a canary is another url")
	}
	return e.Canary.Validate(allowHTTP)
}
