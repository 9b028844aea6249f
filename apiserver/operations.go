package apiserver

import (
	"context"
	_ "embed" // for the specification
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

//go:embed openapi.yaml
var specification []byte

// route is a method and a path as Echo writes it.
type route struct{ method, path string }

// operation is an operation of the specification.
type operation struct {
	routers.Route
	// public operations need no key: the specification asks for none.
	public bool
	// scope is what a key needs.
	scope postdate.Scope
}

// loadOperations reads the specification, which is a part of this program: an
// error is a mistake in it.
func loadOperations() (map[route]*operation, error) {
	document, err := openapi3.NewLoader().LoadFromData(specification)
	if err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	if err := document.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	operations := make(map[route]*operation)
	for path, item := range document.Paths.Map() {
		for method, op := range item.Operations() {
			scope, err := scopeOf(method, op)
			if err != nil {
				return nil, err
			}
			operations[route{method, echoPath(path)}] = &operation{
				Route:  routers.Route{Spec: document, Path: path, PathItem: item, Method: method, Operation: op},
				public: op.Security != nil && len(*op.Security) == 0,
				scope:  scope,
			}
		}
	}
	return operations, nil
}

// is reports whether op is the POST to that path of the specification.
func (op *operation) is(path string) bool { return op.Method == http.MethodPost && op.Path == path }

// schema is that of a body of that media type.
func (op *operation) schema(media string) *openapi3.Schema {
	return op.Operation.RequestBody.Value.Content[media].Schema.Value
}

// scopeOf is what a key needs for op: to write, or of a GET to read, unless the
// specification says more.
func scopeOf(method string, op *openapi3.Operation) (postdate.Scope, error) {
	said, ok := op.Extensions["x-scope"]
	switch {
	case ok:
		text, _ := said.(string)
		if scope := postdate.Scope(text); scope == postdate.Pull || slices.Contains(postdate.Scopes, scope) {
			return scope, nil
		}
		return "", fmt.Errorf("openapi.yaml: x-scope of %s is %v", op.OperationID, said)
	case method == http.MethodGet:
		return postdate.Read, nil
	default:
		return postdate.Write, nil
	}
}

// echoPath is a path of the specification as Echo writes it.
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// operation is what the request asks for, if the specification knows it.
func (s *server) operation(c echo.Context) (*operation, bool) {
	method := c.Request().Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op, ok := s.operations[route{method, c.Path()}]
	return op, ok
}
