package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// validation holds requests to the form that the specification gives them.
// Patterns are left to the nouns, which say in words what they want.
var validation = openapi3filter.Options{
	MultiError:          true,
	SkipSettingDefaults: true,
	AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
	SchemaValidationOptions: []openapi3.SchemaValidationOption{
		openapi3.DisablePatternValidation(),
		openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
			"date-time": format(isTime), "duration": format(isDuration), "positive-duration": format(isPositive),
			"local-time": format(isLocalTime), "date": format(isDate),
		}),
	},
}

// parameterValidation validates requests whose bodies are not validated by a schema.
var parameterValidation = withoutBody(validation)

func withoutBody(options openapi3filter.Options) openapi3filter.Options {
	options.ExcludeRequestBody = true
	return options
}

type format func(string) error

func (f format) Validate(value string) error { return f(value) }

func isTime(value string) error {
	_, err := parseTime(value)
	return err
}

var errTime = errors.New(`not a time: write "2027-01-01T09:00:00Z"`)

// parseTime parses a time of RFC 3339, from the year 1 to 9999 in UTC: others can be parsed,
// but not written.
func parseTime(value string) (time.Time, error) {
	var t time.Time
	if err := t.UnmarshalText([]byte(value)); err != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
		return time.Time{}, errTime
	}
	return t.UTC(), nil
}

// utc is t in UTC, or nil.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

func isDuration(value string) error {
	_, err := postdate.ParseDuration(value)
	return err
}

func isPositive(value string) error {
	d, err := postdate.ParseDuration(value)
	if err == nil && d <= 0 {
		err = errors.New("must be more than 0")
	}
	return err
}

// validate refuses what the specification does not allow.
func (s *server) validate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op, ok := s.operation(c)
		if !ok || isInbound(c) { // what comes there has any form
			return next(c)
		}
		if err := validateQuery(c.Request().URL.RawQuery); err != nil {
			return err
		}
		if err := unquoteKey(c.Request().Header); err != nil {
			return err
		}
		body, err := s.validateBody(c, op)
		if err != nil {
			return err
		}
		if body != nil {
			setBody(c.Request(), body) // with all that is opaque
		}
		return next(c)
	}
}

// validateBody reads and returns the body of a request, and refuses what the specification
// does not allow. Others wait while too much is read and validated.
func (s *server) validateBody(c echo.Context, op *operation) (body []byte, err error) {
	room := s.validating.enter()
	defer room.leave()
	c.Set(roomKey, room)
	body, options, err := acceptBody(c, op)
	if err != nil {
		return nil, err
	}
	faults := parameterFaults(c, op)
	form := formFaults(c, op, options)
	form = slices.DeleteFunc(form, func(fault FieldError) bool { // the other detail is clearer
		return slices.ContainsFunc(faults, func(said FieldError) bool { return said.Pointer == fault.Pointer })
	})
	if faults = append(faults, form...); len(faults) > 0 {
		return nil, invalid(faults)
	}
	return body, nil
}

// acceptBody reads and returns the body of a request, and leaves in the request the form
// that is validated against the schema, by these options. body is nil where op takes none,
// or the events were read from it.
func acceptBody(c echo.Context, op *operation) (body []byte, options *openapi3filter.Options, err error) {
	r := c.Request()
	if accepted, err := acceptCloudEvents(c, op); err != nil || accepted {
		return nil, &parameterValidation, err
	}
	if op.is(pathImport) {
		return nil, &parameterValidation, acceptImport(c)
	}
	taken := op.Operation.RequestBody
	if taken == nil || !taken.Value.Required && !hasBody(r) {
		return nil, &validation, nil
	}
	if mediaOf(c) != echo.MIMEApplicationJSON {
		return nil, nil, postdate.Errorf(unsupportedMediaType, "", "a body must be declared as Content-Type: application/json")
	}
	most := maxBody
	if op.is(pathScheduleBatch) {
		most = maxBatchBody
	}
	if body, err = readBodyOf(c, most); err != nil {
		return nil, nil, err
	}
	form, err := readDocument(body, op.schema(echo.MIMEApplicationJSON))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON) // however it was spelled
	setBody(r, form)
	return body, &validation, nil
}

// formFaults are the faults that the validation against the specification finds.
func formFaults(c echo.Context, op *operation, options *openapi3filter.Options) []FieldError {
	params := make(map[string]string)
	for i, name := range c.ParamNames() {
		params[name] = pathValue(c, c.ParamValues()[i])
	}
	request := c.Request()
	if op.is(pathImport) { // its body is a stream, and the validation would read it to its end
		request = request.Clone(request.Context())
		request.Body = http.NoBody
	}
	return fieldErrors(openapi3filter.ValidateRequest(request.Context(), &openapi3filter.RequestValidationInput{
		Request: request, PathParams: params, Route: &op.Route, Options: options,
	}))
}

// pathValue decodes a parameter of the path. Echo routes by the encoded path where that
// differs from Go's own encoding, and then leaves parameters encoded.
func pathValue(c echo.Context, value string) string {
	if c.Request().URL.RawPath == "" {
		return value
	}
	if decoded, err := url.PathUnescape(value); err == nil {
		return decoded
	}
	return value // not reached: net/http has decoded the path
}

// maxFaults bounds the faults that an answer names.
const maxFaults = 100

// invalid is the problem of a request with faults, of which there is at least one.
func invalid(faults []FieldError) Problem {
	slices.SortStableFunc(faults, func(a, b FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	detail := strings.TrimPrefix(faults[0].Pointer+": "+faults[0].Detail, ": ")
	if more := len(faults) - 1; more > 0 {
		detail += fmt.Sprintf(", and %d more", more)
	}
	return Problem{Code: postdate.Invalid, Detail: detail, Errors: faults[:min(len(faults), maxFaults)]}
}

// fieldErrors shortens the errors of the validation.
func fieldErrors(err error) []FieldError {
	switch e := err.(type) { //nolint:errorlint // a tree is walked, node by node
	case nil:
		return nil
	case openapi3.MultiError:
		var all []FieldError
		for _, one := range e {
			all = append(all, fieldErrors(one)...)
		}
		return all
	case *openapi3.SchemaError:
		return []FieldError{fieldError(e)}
	case *openapi3filter.RequestError:
		if e.Parameter == nil {
			return fieldErrors(e.Err)
		}
		faults := fieldErrors(e.Err)
		for i := range faults {
			faults[i].Pointer = pointer(e.Parameter.Name)
		}
		return faults
	case *openapi3filter.ParseError:
		return []FieldError{{Detail: "cannot be read: " + e.Reason}}
	default:
		return []FieldError{{Detail: err.Error()}}
	}
}

func fieldError(e *openapi3.SchemaError) FieldError {
	path := e.JSONPointer()
	detail := e.Reason
	switch e.SchemaField {
	case "required":
		detail = "is missing"
	case "properties":
		var name string
		if _, err := fmt.Sscanf(e.Reason, "property %q is unsupported", &name); err == nil {
			path, detail = append(path, name), "is not known"
		}
	case "nullable":
		detail = "must not be null"
	case "minLength", "minItems", "minProperties":
		detail = "must not be empty"
	case "maxLength":
		detail = fmt.Sprintf("has at most %d characters", *e.Schema.MaxLength)
	case "enum":
		detail = "must be one of " + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(e.Schema.Enum)), ", "), "[]")
	case "oneOf":
		detail = "has none of the forms that it may have: see /docs"
	case "format":
		if inner := errors.Unwrap(e.Origin); inner != nil {
			detail = inner.Error()
		}
	default:
		if detail == "cannot convert json.Number to float64" {
			return FieldError{Pointer: pointer(path...), Detail: "is too large a number"}
		}
		detail = strings.TrimPrefix(strings.TrimPrefix(detail, "value "), "number ")
	}
	return FieldError{Pointer: pointer(path...), Detail: detail}
}

// maxName bounds what an answer says of a name that is not known.
const maxName = 200

// pointer is the JSON pointer (RFC 6901) to what is found by names, of which long ones are
// cut off: none that is known is.
func pointer(names ...string) string {
	var text strings.Builder
	for _, name := range names {
		if len(name) > maxName {
			name = strings.ToValidUTF8(name[:maxName], "") + "…"
		}
		text.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return text.String()
}
