package apiserver_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

// contract is the specification that the tests hold every answer to.
var contract, routes = readContract()

func readContract() (*openapi3.T, routers.Router) {
	document, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		panic(err)
	}
	router, err := legacy.NewRouter(document)
	if err != nil {
		panic(err)
	}
	return document, router
}

// holdsTo holds an answer to the specification: its status, headers and body.
// What is asked for in vain is specified nowhere.
func (w answer) holdsTo(r *http.Request) {
	w.t.Helper()
	route, params, err := routes.FindRoute(r)
	if err != nil {
		return
	}
	if media := w.Header().Get("Content-Type"); !strings.Contains(media, "json") {
		return
	}
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: w.Code, Header: w.Header(),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	response.SetBodyBytes(w.Body.Bytes())
	require.NoError(w.t, openapi3filter.ValidateResponse(context.Background(), response), "%s %s", r.Method, r.URL)
}

func TestContract_IsWhatIsServed(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	w := a.do(http.MethodGet, "/openapi.yaml", "").is(http.StatusOK)
	require.Equal(t, "application/yaml", w.Header().Get("Content-Type"))
	served, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	require.NoError(t, err)
	require.NoError(t, served.Validate(t.Context(), openapi3.EnableExamplesValidation()))

	var specified []string
	for path, item := range served.Paths.Map() {
		for method := range item.Operations() {
			specified = append(specified, method+" "+strings.NewReplacer("{", ":", "}", "").Replace(path))
		}
	}
	var implemented []string
	for _, route := range a.handler.(*echo.Echo).Routes() {
		// HEAD is wherever GET is. The others are parts of a page, and what sources take besides.
		taken := strings.HasPrefix(route.Path, "/in/") && (route.Method != http.MethodPost || route.Path != "/in/:token")
		if route.Path != "/docs/*" && route.Method != http.MethodHead && !taken {
			implemented = append(implemented, route.Method+" "+route.Path)
		}
	}
	slices.Sort(specified)
	slices.Sort(implemented)
	require.Equal(t, specified, implemented)
}

func TestContract_RefusesUnknownFieldsOfEveryRequest(t *testing.T) {
	t.Parallel()
	for path, item := range contract.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody == nil || op.OperationID == "importSchedules" { // each of its lines is a request of another
				continue
			}
			schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
			require.NotNil(t, schema.AdditionalProperties.Has, "%s %s", method, path)
			require.False(t, *schema.AdditionalProperties.Has, "%s %s", method, path)
		}
	}
}

func TestContract_SaysWhatEverythingIs(t *testing.T) {
	t.Parallel()
	for path, item := range contract.Paths.Map() {
		for method, op := range item.Operations() {
			require.NotEmpty(t, op.Summary, "%s %s", method, path)
			require.NotEmpty(t, op.OperationID, "%s %s", method, path)
			require.NotEmpty(t, op.Tags, "%s %s", method, path)
		}
	}
	for name, parameter := range contract.Components.Parameters {
		require.NotEmpty(t, parameter.Value.Description, name)
	}
}
