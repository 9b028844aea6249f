package postdate_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/postdate/postdate"

// law says, for each folder, which others of ours it may import; "x/*" stands for
// every folder below x. Tests are free. A new folder gets its line here first.
var law = map[string][]string{
	".":                    {},
	"activities":           {".", "internal/throttle", "protocol"},
	"apiserver":            {".", "internal/calendar", "internal/deliveries", "internal/executions", "internal/inbound", "internal/ingest", "internal/pull", "internal/quotas", "internal/recurrences", "internal/streams", "internal/tenants", "protocol", "signature"},
	"bench":                {"bench/report", "bench/scenario", "bench/system"},
	"bench/report":         {"bench/rig"},
	"bench/rig":            {},
	"bench/scenario":       {"bench/report", "bench/rig", "bench/system"},
	"bench/system":         {"bench/rig", "engine", "protocol", "signature"},
	"client":               {"."},
	"cmd/postdate":         {".", "*"},
	"engine":               {},
	"examples/*":           {".", "client", "examples/*", "receiver", "receiver/*", "signature"},
	"internal/*":           {},
	"internal/backlog":     {".", "protocol"},
	"internal/burst":       {},
	"internal/calendar":    {"."},
	"internal/cloudevent":  {"."},
	"internal/consume":     {".", "internal/executions", "internal/ingest", "internal/streams", "protocol"},
	"internal/consume/*":   {".", "internal/consume", "internal/streams", "senders/*"},
	"internal/deliveries":  {".", "internal/executions", "internal/retry", "protocol"},
	"internal/enginetest":  {"engine", "protocol"},
	"internal/executions":  {".", "protocol"},
	"internal/inbound":     {"."},
	"internal/ingest":      {".", "internal/executions", "internal/retry", "protocol"},
	"internal/pacer":       {".", "internal/retry", "internal/throttle", "protocol"},
	"internal/pull":        {".", "internal/executions", "internal/retry", "protocol"},
	"internal/quotas":      {".", "internal/executions", "protocol"},
	"internal/recurrences": {".", "internal/calendar", "internal/executions", "internal/retry", "protocol"},
	"internal/streams":     {".", "internal/cloudevent"},
	"internal/tenants":     {".", "internal/retry", "protocol"},
	"internal/throttle":    {"."},
	"protocol":             {".", "internal/throttle"},
	"receiver":             {"signature"},
	"receiver/*":           {"receiver"},
	"senders/*":            {".", "internal/cloudevent", "internal/guard", "internal/streams", "signature"},
	"senders/sendertest":   {".", "signature"},
	"signature":            {},
	"worker":               {".", "activities", "protocol", "senders/*", "workflows"},
	"workflows":            {".", "internal/throttle", "protocol"},

	// It tests receivers that are not of the kit too.
	"receiver/receivertest": {"signature"},

	// It runs the workflows for tests: it stands in for worker and cmd/postdate.
	"internal/deliverytest": {".", "activities", "internal/*", "protocol", "workflows"},
}

// pure are the folders that stand on the standard library alone, so that anyone
// can import them at no cost.
var pure = []string{".", "receiver", "receiver/receivertest", "signature"}

// TestHouse_HoldsTheImportLaw reads the imports of every file that is not a test,
// under any build tag.
func TestHouse_HoldsTheImportLaw(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		if file.test {
			continue
		}
		allowed, known := lookup(file.dir)
		if !assert.True(t, known, "%s: folder %s has no line in the import law: say what it may import", file.path, file.dir) {
			continue
		}
		for _, imported := range file.imports {
			target, ours := strings.CutPrefix(imported, module)
			target = path.Clean(strings.TrimPrefix(target, "/"))
			switch {
			case ours && target != file.dir:
				assert.True(t, matches(allowed, target), "%s imports %s; %s may import %v of ours", file.path, target, file.dir, allowed)
			case !ours && slices.Contains(pure, file.dir):
				assert.True(t, standard(imported), "%s imports %s; %s stands on the standard library alone", file.path, imported, file.dir)
			}
		}
	}
}

// TestHouse_OnlyTheCommandReadsTheEnvironment keeps configuration in one struct.
func TestHouse_OnlyTheCommandReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	readers := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}
	for _, file := range sources(t) {
		if file.test || matches([]string{"cmd/*", "bench/*", "examples/*"}, file.dir) {
			continue
		}
		ast.Inspect(file.parse(t, parser.SkipObjectResolution), func(node ast.Node) bool {
			call, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if from, ok := call.X.(*ast.Ident); ok && from.Name == "os" {
				assert.NotContains(t, readers, call.Sel.Name, "%s reads the environment; only cmd/postdate does", file.path)
			}
			return true
		})
	}
}

// TestHouse_NamesPackagesForWhatTheyDo refuses the names under which code that
// has no place gathers.
func TestHouse_NamesPackagesForWhatTheyDo(t *testing.T) {
	t.Parallel()
	drawers := []string{"base", "common", "helper", "helpers", "misc", "shared", "util", "utils"}
	for _, file := range sources(t) {
		for _, part := range append(strings.Split(file.dir, "/"), strings.TrimSuffix(file.pkg, "_test")) {
			assert.NotContains(t, drawers, part, "%s: name it for what it does", file.path)
		}
	}
}

// TestHouse_KeepsFilesShort leaves room in a file for one thing.
func TestHouse_KeepsFilesShort(t *testing.T) {
	t.Parallel()
	const most = 500
	for _, file := range sources(t) {
		if !file.generated {
			assert.LessOrEqual(t, bytes.Count(file.text, []byte("\n")), most, "%s: more than one thing is in it", file.path)
		}
	}
}

// TestHouse_KeepsActivitiesInterfacesSmall keeps each activity to what it calls.
func TestHouse_KeepsActivitiesInterfacesSmall(t *testing.T) {
	t.Parallel()
	const most = 5
	for _, file := range sources(t) {
		if file.dir != "activities" || file.test {
			continue
		}
		ast.Inspect(file.parse(t, parser.SkipObjectResolution), func(node ast.Node) bool {
			if face, ok := node.(*ast.InterfaceType); ok {
				assert.LessOrEqual(t, face.Methods.NumFields(), most, "%s: an interface with more than %d methods", file.path, most)
			}
			return true
		})
	}
}

// TestHouse_EmbedsNoConfig keeps a configuration, and the Temporal client in it, from
// being reached through whatever was made with it.
func TestHouse_EmbedsNoConfig(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		if file.test || !slices.Contains(file.imports, "go.temporal.io/sdk/client") || file.dir == "cmd/postdate" {
			continue
		}
		ast.Inspect(file.parse(t, parser.SkipObjectResolution), func(node ast.Node) bool {
			structure, ok := node.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range structure.Fields.List {
				if name, ok := field.Type.(*ast.Ident); ok && len(field.Names) == 0 {
					assert.NotEqual(t, "Config", name.Name, "%s embeds its Config", file.path)
				}
			}
			return true
		})
	}
}

// retired are words of which each stood for several things, or for one that the field
// has a name for: docs/architecture.md has the words that are used instead.
var retired = []string{
	"aboard", "anew", "booth", "calm", "crowd", "crowded", "crowding", "heard", "heed", "hungry", "insist", "lane", "lining",
	"parcel", "parcels", "passenger", "sight", "standing", "stranger", "strangers", "told", "wish", "wished",
}

// TestHouse_RefusesRetiredWords looks for them in identifiers.
func TestHouse_RefusesRetiredWords(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		if file.generated || file.path == "house_test.go" {
			continue
		}
		seen := make(map[string]bool)
		ast.Inspect(file.parse(t, parser.SkipObjectResolution), func(node ast.Node) bool {
			name, ok := node.(*ast.Ident)
			if !ok || seen[name.Name] || strings.HasPrefix(name.Name, "Test") {
				return true
			}
			seen[name.Name] = true
			for _, word := range wordsOf(name.Name) {
				assert.NotContains(t, retired, word, "%s: %s", file.path, name.Name)
			}
			return true
		})
	}
}

// wordsOf are the words of an identifier, in lower case.
func wordsOf(name string) []string {
	var words []string
	from := 0
	for i, r := range name {
		if i > from && unicode.IsUpper(r) || r == '_' {
			words, from = append(words, strings.ToLower(name[from:i])), i
		}
	}
	return append(words, strings.ToLower(strings.Trim(name[from:], "_")))
}

// TestHouse_CommentsReportWhether holds comments to the idiom of Go's own.
func TestHouse_CommentsReportWhether(t *testing.T) {
	t.Parallel()
	reports := regexp.MustCompile(`(?m)^\s*// .*\b(tells?|answers?) (whether|if)\b`)
	for _, file := range sources(t) {
		if !file.generated {
			assert.Empty(t, reports.FindAllString(string(file.text), -1), "%s: write \"X reports whether …\"", file.path)
		}
	}
}

// TestHouse_LogsInPlainWords holds every message at warn and error to a golden file:
// each says what failed, or plainly what happened.
func TestHouse_LogsInPlainWords(t *testing.T) {
	t.Parallel()
	const golden = "testdata/log_messages.golden"
	var messages []string
	for _, file := range sources(t) {
		if file.test || file.generated || strings.HasPrefix(file.dir, "bench") || strings.HasPrefix(file.dir, "internal/enginetest") {
			continue
		}
		ast.Inspect(file.parse(t, parser.SkipObjectResolution), func(node ast.Node) bool {
			if message := loggedMessage(node); message != "" {
				messages = append(messages, file.dir+": "+message)
			}
			return true
		})
	}
	slices.Sort(messages)
	is := strings.Join(slices.Compact(messages), "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(is), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), is, "the log's words have changed: if that is meant, run this test with -update")
}

var update = flag.Bool("update", false, "write the golden file of log messages")

// loggedMessage is the message of a call that logs at warn or error, if node is one.
func loggedMessage(node ast.Node) string {
	call, ok := node.(*ast.CallExpr)
	if !ok {
		return ""
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	place := map[string]int{"Warn": 0, "Error": 0, "WarnContext": 1, "ErrorContext": 1, "LogAttrs": 2}
	at, logs := place[method.Sel.Name]
	if !logs || len(call.Args) <= at {
		return ""
	}
	if method.Sel.Name == "LogAttrs" {
		level, ok := call.Args[1].(*ast.SelectorExpr)
		if !ok || level.Sel.Name != "LevelWarn" && level.Sel.Name != "LevelError" {
			return ""
		}
	}
	message, ok := call.Args[at].(*ast.BasicLit)
	if !ok || message.Kind != token.STRING {
		return ""
	}
	return strings.Trim(message.Value, "\"`")
}

// source is one Go file of this module.
type source struct {
	path, dir, pkg  string
	text            []byte
	imports         []string
	test, generated bool
}

func (s source) parse(t *testing.T, mode parser.Mode) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), s.path, s.text, mode)
	require.NoError(t, err)
	return file
}

// sources reads the tree rather than asking the go command: so it sees every
// build tag, and the test cache knows which files this test has read.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	tree := os.DirFS(".")
	require.NoError(t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && foreign(tree, name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		all = append(all, newSource(t, name, text))
		return nil
	}))
	return all
}

// foreign reports whether the go command, too, leaves a folder out of this module.
func foreign(tree fs.FS, dir string) bool {
	_, err := fs.Stat(tree, path.Join(dir, "go.mod"))
	name := path.Base(dir)
	return err == nil || name == "testdata" || name == "node_modules" || name[0] == '.' || name[0] == '_'
}

func newSource(t *testing.T, name string, text []byte) source {
	t.Helper()
	s := source{path: name, dir: path.Dir(name), text: text, test: strings.HasSuffix(name, "_test.go")}
	file := s.parse(t, parser.ImportsOnly|parser.ParseComments)
	s.pkg, s.generated = file.Name.Name, ast.IsGenerated(file)
	for _, spec := range file.Imports {
		s.imports = append(s.imports, strings.Trim(spec.Path.Value, "\"`"))
	}
	return s
}

// lookup finds the law of dir: its own line, or else the narrowest pattern's.
func lookup(dir string) ([]string, bool) {
	if allowed, ok := law[dir]; ok {
		return allowed, true
	}
	byLength := slices.SortedFunc(maps.Keys(law), func(a, b string) int { return len(b) - len(a) })
	for _, pattern := range byLength {
		if strings.HasSuffix(pattern, "*") && matches([]string{pattern}, dir) {
			return law[pattern], true
		}
	}
	return nil, false
}

func matches(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return pattern == dir || (open && strings.HasPrefix(dir, prefix))
	})
}

// standard reports whether an import is of the standard library: others' begin with a host.
func standard(imported string) bool {
	host, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(host, ".")
}

// TestHouse_ExplainsEveryDependency wants a line in docs/decisions.md for each
// module that go.mod requires directly.
func TestHouse_ExplainsEveryDependency(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	decisions, err := os.ReadFile("docs/decisions.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(mod)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) != 2 || !strings.HasPrefix(fields[1], "v") {
			continue // no requirement, or an indirect one
		}
		assert.True(t, bytes.Contains(decisions, []byte("`"+fields[0]+"`")),
			"%s has no line in docs/decisions.md: say why this one", fields[0])
	}
}
