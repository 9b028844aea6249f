package apiserver

import (
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// validateQuery refuses a query that cannot be read to its end: what net/url
// leaves out of it would be a filter that does not hold.
func validateQuery(raw string) error {
	var faults []FieldError
	for parameter := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		if detail := queryFault(name, value); detail != "" {
			faults = append(faults, FieldError{Pointer: pointer(plain), Detail: detail})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	problem := invalid(faults)
	problem.Code = malformed
	return problem
}

// queryFault says why a parameter cannot be read.
func queryFault(parts ...string) string {
	for _, part := range parts {
		if strings.Contains(part, ";") {
			return `holds ";", which some take for "&": write it as %3B`
		}
		if _, err := url.QueryUnescape(part); err != nil {
			return "is not percent-encoded: write % as %25"
		}
	}
	return ""
}

// parameterFaults are those of parameters of the query that op does not know, or
// that are there and empty: no parameter of ours is ever meant to be.
func parameterFaults(c echo.Context, op *operation) []FieldError {
	var faults []FieldError
	for name, values := range c.QueryParams() {
		switch {
		case op.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil:
			faults = append(faults, FieldError{Pointer: pointer(name), Detail: "is not known"})
		case slices.Contains(values, ""):
			faults = append(faults, FieldError{Pointer: pointer(name), Detail: "must not be empty"})
		}
	}
	return faults
}
