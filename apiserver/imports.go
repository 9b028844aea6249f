package apiserver

import (
	"cmp"
	"context"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/ingest"
)

// maxImports bounds the batches and imports of one tenant that a process takes at once.
const maxImports = 8

// mediaNDJSON is the media type of an import.
const mediaNDJSON = "application/x-ndjson"

// imports counts the batches and imports that are under way, by tenant.
type imports struct {
	mu      sync.Mutex
	running map[string]int
}

func newImports() *imports { return &imports{running: make(map[string]int)} }

// enter takes a place, and returns how to leave it.
func (i *imports) enter(tenant string) (leave func(), err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running[tenant] >= maxImports {
		return nil, postdate.Errorf(postdate.TooManyRequests, "", "%d batches and imports of this tenant are under way already: try again when one has ended", maxImports)
	}
	i.running[tenant]++
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.running[tenant]--
		if i.running[tenant] == 0 {
			delete(i.running, tenant)
		}
	}, nil
}

type importKey struct{}

// withImport says that what is created belongs to an import of that name.
func withImport(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, importKey{}, name)
}

// importOf is the import that the request of ctx belongs to, if that has a name.
func importOf(ctx context.Context) string {
	name, _ := ctx.Value(importKey{}).(string)
	return name
}

// acceptImport refuses an import that is not declared as one. Its body is read as it comes.
func acceptImport(c echo.Context) error {
	switch mediaOf(c) {
	case mediaNDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines":
	default:
		return postdate.Errorf(unsupportedMediaType, "", "an import must be declared as Content-Type: %s", mediaNDJSON)
	}
	packed, err := isPacked(c)
	if err == nil {
		c.SetRequest(c.Request().WithContext(context.WithValue(c.Request().Context(), packedKey{}, packed)))
	}
	return err
}

// packedKey is the key of the context for whether the body is packed by gzip.
type packedKey struct{}

// ImportSchedules creates the schedules of a stream, which is read while it is answered.
func (s *server) ImportSchedules(ctx context.Context, r ImportSchedulesRequestObject) (ImportSchedulesResponseObject, error) {
	if name := r.Params.Import; name != "" {
		if err := postdate.ValidateImport("/import", name); err != nil {
			return nil, err
		}
	}
	leave, err := s.imports.enter(tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	packed, _ := ctx.Value(packedKey{}).(bool)
	stream := &importStream{
		server: s, ctx: withImport(ctx, r.Params.Import), body: r.Body, packed: packed, dryRun: r.Params.DryRun, leave: leave,
	}
	if base := cmp.Or(r.Params.IdempotencyKey, r.Params.Import); base != "" {
		kind := "key"
		if r.Params.IdempotencyKey == "" {
			kind = "name"
		}
		aged, err := s.Deliveries.IsImportAged(ctx, tenantOf(ctx), r.Params.Import)
		if err != nil {
			leave()
			return nil, err
		}
		stream.spans.of = ingest.NewImport(tenantOf(ctx), strings.Join([]string{"import", kind, base, ""}, "\n"), aged)
	}
	return stream, nil
}

// GetImport counts the schedules of an import.
func (s *server) GetImport(ctx context.Context, r GetImportRequestObject) (GetImportResponseObject, error) {
	counts, err := s.Deliveries.CountImport(ctx, tenantOf(ctx), r.Name)
	if err != nil {
		return nil, err
	}
	status := ImportStatus{Name: r.Name, States: make(map[string]int)}
	for state, n := range counts {
		status.States[string(state)] = n
		status.Total += n
	}
	return GetImport200JSONResponse(status), nil
}
