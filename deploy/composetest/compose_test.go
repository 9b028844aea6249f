// Package composetest checks docker-compose.yml by the compose specification's
// own library, and holds it to what the rest of the repository says. It is a
// module of its own, so that nobody who uses Postdate's has that library in theirs.
package composetest

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

// secrets are the variables that have no default.
var secrets = map[string]string{
	"POSTGRES_PASSWORD":        "a",
	"POSTDATE_ADMIN_KEY":       "b",
	"POSTDATE_SIGNING_SECRET":  "c",
	"POSTDATE_ENCRYPTION_KEYS": "d",
}

// load reads the file as `docker compose` does: schema, interpolation, merges
// and consistency, which includes that whatever depends_on names exists.
func load(t *testing.T, env map[string]string) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml")}},
		Environment: maps.Clone(env), // the loader adds to it
	})
}

func loaded(t *testing.T) *types.Project {
	t.Helper()
	project, err := load(t, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose_HasTheServicesThatPostdateNeeds(t *testing.T) {
	t.Parallel()
	want := []string{
		"api", "postgresql", "temporal", "temporal-namespace", "temporal-schema", "temporal-ui", "worker",
	}
	if got := slices.Sorted(maps.Keys(loaded(t).Services)); !slices.Equal(got, want) {
		t.Errorf("services are %v, want %v", got, want)
	}
}

func TestCompose_AsksForEverySecretByName(t *testing.T) {
	t.Parallel()
	for name := range secrets {
		env := maps.Clone(secrets)
		delete(env, name)
		if _, err := load(t, env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s the file must not load, and say so; got %v", name, err)
		}
	}
}

// An image either has an exact version or is built here.
func TestCompose_PinsEveryImage(t *testing.T) {
	t.Parallel()
	exact := regexp.MustCompile(`:\d+\.\d+(\.\d+)?$`)
	for name, service := range loaded(t).Services {
		if service.Build == nil && !exact.MatchString(service.Image) {
			t.Errorf("%s runs %s, which is no exact version", name, service.Image)
		}
	}
	stage := regexp.MustCompile(`(?m)^FROM (\S+)`)
	for _, from := range stage.FindAllStringSubmatch(read(t, "Dockerfile"), -1) {
		if image := from[1]; image != "scratch" && !regexp.MustCompile(`:\d+\.\d+\.\d+(-musl)?$`).MatchString(image) {
			t.Errorf("the Dockerfile starts from %s, which is no exact version", image)
		}
	}
}

// What ends by itself is waited for until it has; everything else has a health
// check, and is waited for until it is healthy.
func TestCompose_WaitsForWhatItDependsOn(t *testing.T) {
	t.Parallel()
	project := loaded(t)
	for name, service := range project.Services {
		if !endsByItself(service) && (service.HealthCheck == nil || len(service.HealthCheck.Test) == 0) {
			t.Errorf("%s has no health check", name)
		}
		for other, dependency := range service.DependsOn {
			want := types.ServiceConditionHealthy
			if endsByItself(project.Services[other]) {
				want = types.ServiceConditionCompletedSuccessfully
			}
			if dependency.Condition != want {
				t.Errorf("%s waits for %s by %s, want %s", name, other, dependency.Condition, want)
			}
		}
	}
}

func endsByItself(service types.ServiceConfig) bool {
	return strings.HasPrefix(service.Restart, "on-failure")
}

func TestCompose_PublishesOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for name, service := range loaded(t).Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
			}
		}
	}
}

func TestCompose_MountsWhatIsThere(t *testing.T) {
	t.Parallel()
	for name, service := range loaded(t).Services {
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s mounts %v", name, err)
			}
			for _, word := range service.Command {
				file, inside := strings.CutPrefix(word, volume.Target+"/")
				if _, err := os.Stat(filepath.Join(volume.Source, file)); inside && err != nil {
					t.Errorf("%s runs %v", name, err)
				}
			}
		}
	}
}

// The cluster is of the version that is embedded and tested everywhere else.
func TestCompose_AgreesWithGoMod(t *testing.T) {
	t.Parallel()
	mod := read(t, "go.mod")
	services := loaded(t).Services
	for service, module := range map[string]string{
		"temporal":           "go.temporal.io/server",
		"temporal-schema":    "go.temporal.io/server",
		"temporal-namespace": "go.temporal.io/server",
		"temporal-ui":        "github.com/temporalio/ui-server/v2",
	} {
		version := submatch(t, mod, regexp.QuoteMeta(module)+` v(\S+)`)
		if !strings.HasSuffix(services[service].Image, ":"+version) {
			t.Errorf("%s is %s, go.mod has %s v%s", service, services[service].Image, module, version)
		}
	}
	version := submatch(t, mod, `(?m)^go (\S+)$`)
	if !strings.Contains(read(t, "Dockerfile"), "FROM golang:"+version+" ") {
		t.Errorf("the Dockerfile does not build with Go %s", version)
	}
}

// A setting that Postdate does not know would be without effect.
func TestCompose_SetsOnlyWhatPostdateKnows(t *testing.T) {
	t.Parallel()
	config := read(t, "cmd/postdate/config.go")
	for name, service := range loaded(t).Services {
		for variable := range service.Environment {
			setting, ours := strings.CutPrefix(variable, "POSTDATE_")
			if ours && !strings.Contains(config, `env:"`+setting+`"`) {
				t.Errorf("%s sets %s, which cmd/postdate does not know", name, variable)
			}
		}
	}
}

func TestCompose_SetsAllThatPostdateRequires(t *testing.T) {
	t.Parallel()
	services := loaded(t).Services
	required := regexp.MustCompile(`(POSTDATE_\w+) is not set`)
	for _, match := range required.FindAllStringSubmatch(read(t, "cmd/postdate/config.go"), -1) {
		for _, name := range []string{"api", "worker"} {
			value := services[name].Environment[match[1]]
			operators := match[1] == "POSTDATE_ADMIN_KEY" && name == "worker" // workers ask nobody for a key
			if !operators && (value == nil || *value == "") {
				t.Errorf("%s does not set %s", name, match[1])
			}
		}
	}
}

func TestCompose_RegistersEverySearchAttribute(t *testing.T) {
	t.Parallel()
	var want, got []string
	known := regexp.MustCompile(`NewSearchAttributeKey(\w+)\("(\w+)"\)`)
	for _, match := range known.FindAllStringSubmatch(read(t, "workflows/names.go"), -1) {
		want = append(want, match[2]+" "+match[1])
	}
	registered := regexp.MustCompile(`--name (\w+) --type (\w+)`)
	for _, match := range registered.FindAllStringSubmatch(read(t, "deploy/temporal/namespace.sh"), -1) {
		got = append(got, match[1]+" "+match[2])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("namespace.sh registers %v, workflows/names.go has %v", got, want)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no %s", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func submatch(t *testing.T, text, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("nothing like %s", pattern)
	}
	return match[1]
}
