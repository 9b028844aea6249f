package postdate

// EntityRule says what the entity of a message is: Prefix and what is found there, or Prefix
// and Value, where nothing is found or nothing is looked for.
type EntityRule struct {
	Prefix string `json:"prefix,omitempty"`
	Locator
	Value string `json:"value,omitempty"`
}

// Validate reports the first rule that e breaks.
func (e EntityRule) Validate() error {
	if e.Locator != (Locator{}) {
		if err := e.Locator.Validate("/entity"); err != nil {
			return err
		}
	}
	switch {
	case e.Body:
		return Errorf(Invalid, "/entity/body", "an entity is found in a header, by a pointer, or in the query")
	case e.Locator == (Locator{}) && e.Value == "":
		return Errorf(Invalid, "/entity", "names a header, a pointer, a query or a value")
	case e.Prefix+e.Value != "":
		return validateName("/entity", e.Prefix+e.Value)
	}
	return nil
}

// Of is the entity for what was found: that of Value where that makes none, and else none.
func (e EntityRule) Of(found string) string {
	return firstValid(validateName, e.Prefix, found, e.Value)
}
