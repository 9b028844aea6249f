package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 256 << 10

// validation holds requests to the form that the specification gives them.
// Patterns are left to the nouns, which say in words what they want.
var validation = openapi3filter.Options{
	MultiError:          true,
	SkipSettingDefaults: true,
	AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
	SchemaValidationOptions: []openapi3.SchemaValidationOption{
		openapi3.DisablePatternValidation(),
		openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
			"date-time": format(isTime), "duration": format(isDuration),
			"local-time": format(isLocalTime), "date": format(isDate),
		}),
	},
}

type format func(string) error

func (f format) Validate(value string) error { return f(value) }

func isTime(value string) error {
	var t time.Time
	// A time that has five digits to its year in UTC could be read, not answered.
	if err := t.UnmarshalText([]byte(value)); err != nil || t.UTC().Year() < 0 || t.UTC().Year() > 9999 {
		return errors.New(`not a time: write "2027-01-01T09:00:00Z"`)
	}
	return nil
}

func isDuration(value string) error {
	_, err := postdate.ParseDuration(value)
	return err
}

// validate refuses what the specification does not allow.
func (s *server) validate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op, ok := s.operation(c)
		if !ok {
			return next(c)
		}
		if body := op.Operation.RequestBody; body != nil && (body.Value.Required || hasBody(c.Request())) {
			if err := readBody(c); err != nil {
				return err
			}
		}
		params := make(map[string]string)
		for i, name := range c.ParamNames() {
			params[name] = c.ParamValues()[i]
		}
		faults := fieldErrors(openapi3filter.ValidateRequest(c.Request().Context(), &openapi3filter.RequestValidationInput{
			Request: c.Request(), PathParams: params, Route: &op.Route, Options: &validation,
		}))
		for name := range c.QueryParams() {
			if op.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
				faults = append(faults, FieldError{Pointer: pointer(name), Detail: "is not known"})
			}
		}
		if len(faults) > 0 {
			return invalid(faults)
		}
		return next(c)
	}
}

// hasBody tells whether r comes with a body, where it need not.
func hasBody(r *http.Request) bool {
	return r.ContentLength != 0 || r.Header.Get(echo.HeaderContentType) != ""
}

// readBody reads a body and puts it back, if it is JSON and not too large.
func readBody(c echo.Context) error {
	if mediaOf(c) != echo.MIMEApplicationJSON {
		return postdate.Errorf(unsupportedMediaType, "", "a body must be declared as Content-Type: application/json")
	}
	body, err := readJSON(c)
	if err != nil {
		return err
	}
	r := c.Request()
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return nil
}

// readJSON reads a body, if it is JSON and not too large.
func readJSON(c echo.Context) ([]byte, error) {
	body, err := readWhole(c)
	if err != nil {
		return nil, err
	}
	return body, checkJSON(body)
}

// readWhole reads a body, if it is not too large.
func readWhole(c echo.Context) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, c.Request().Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, postdate.Errorf(tooLarge, "", "a body has at most %d KiB", maxBody>>10)
	}
	if err != nil {
		return nil, postdate.Errorf(malformed, "", "the body cannot be read: %s", err)
	}
	return body, nil
}

// checkJSON says where body is not JSON, if it is not.
func checkJSON(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return postdate.Errorf(malformed, "", "the body is empty")
	}
	if !utf8.Valid(body) {
		return postdate.Errorf(malformed, "", "the body is not valid UTF-8")
	}
	var value json.RawMessage
	syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &value))
	if !ok {
		return nil
	}
	before := body[:min(max(0, int(syntax.Offset)-1), len(body))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return postdate.Errorf(malformed, "", "not JSON: line %d, column %d: %s", line, column, syntax)
}

// invalid is the problem of a request with faults, of which there is at least one.
func invalid(faults []FieldError) Problem {
	slices.SortStableFunc(faults, func(a, b FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	detail := strings.TrimPrefix(faults[0].Pointer+": "+faults[0].Detail, ": ")
	if more := len(faults) - 1; more > 0 {
		detail += fmt.Sprintf(", and %d more", more)
	}
	return Problem{Code: postdate.Invalid, Detail: detail, Errors: faults}
}

// fieldErrors tells in few words what the validation found, which tells it in many.
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

// pointer is the JSON pointer (RFC 6901) to what is found by names.
func pointer(names ...string) string {
	var text strings.Builder
	for _, name := range names {
		text.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return text.String()
}
