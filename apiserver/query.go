package apiserver

import (
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// maxParameters bounds the parameters of a query: no operation has half as many.
const maxParameters = 50

// validateQuery refuses a query that cannot be parsed completely. net/url drops the
// parameters that it cannot parse, and a filter that is dropped would match everything.
func validateQuery(raw string) error {
	if strings.Count(raw, "&") >= maxParameters {
		return postdate.Errorf(postdate.Invalid, "", "the query has more than %d parameters", maxParameters)
	}
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

// queryFault is the reason why a parameter cannot be parsed, or "".
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

// parameterFaults are the faults of query parameters that op does not have, or that are
// empty: no parameter may be.
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
