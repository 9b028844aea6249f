package main

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/burst"
)

var update = flag.Bool("update", false, "write generated documents anew")

const configurationDoc = "../../docs/configuration.md"

// TestConfigurationIsDocumented holds docs/configuration.md to the struct that
// reads the environment.
//
//go:generate go test -run TestConfigurationIsDocumented . -update
func TestConfigurationIsDocumented(t *testing.T) {
	t.Parallel()
	want := describeConfig()
	if *update {
		require.NoError(t, os.WriteFile(configurationDoc, []byte(want), 0o600))
	}
	got, err := os.ReadFile(configurationDoc)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "run make generate")
}

func describeConfig() string {
	var doc strings.Builder
	doc.WriteString(`# Configuration

Postdate reads its settings from the environment, once, at the start. A value
that cannot be meant stops the start with a line that names the variable.

| variable | default | meaning |
|---|---|---|
`)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config]()) {
		if field.Tag.Get("env") == "" {
			continue
		}
		standard := "none"
		if value := field.Tag.Get("envDefault"); value != "" {
			standard = "`" + value + "`"
		}
		fmt.Fprintf(&doc, "| `%s%s` | %s | %s |\n", prefix, field.Tag.Get("env"), standard, field.Tag.Get("doc"))
	}
	doc.WriteString(`
The connection to Temporal of ` + "`serve`, `api` and `worker`" + ` has Temporal's own variables:
` + "`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS`" + ` and its kin,
and the profiles of a ` + "`temporal.toml`" + `. Traces are sent where OpenTelemetry's
` + "`OTEL_EXPORTER_OTLP_ENDPOINT`" + ` points; without it none are recorded.
`)
	return doc.String()
}

func TestLoadConfig_NamesTheVariableAtFault(t *testing.T) {
	t.Parallel()
	for variable, says := range map[string]string{
		"POSTDATE_ALLOW_HTTP=perhaps":            "POSTDATE_ALLOW_HTTP",
		"POSTDATE_ALLOW_NETWORKS=10.0.0.0/8,lan": "POSTDATE_ALLOW_NETWORKS",
		"POSTDATE_ADMIN_KEY=short":               "POSTDATE_ADMIN_KEY: at least 16 characters",
		"POSTDATE_SIGNING_SECRET=whsec_!":        "POSTDATE_SIGNING_SECRET",
		"POSTDATE_ENCRYPTION_KEYS=k1:short":      "POSTDATE_ENCRYPTION_KEYS",
		"POSTDATE_RATE_LIMIT=-1":                 "POSTDATE_RATE_LIMIT: not negative",
		"POSTDATE_DISABLE_AFTER=1ms":             "POSTDATE_DISABLE_AFTER: at least 1s",
		"POSTDATE_MAX_IN_FLIGHT=0":               "POSTDATE_MAX_IN_FLIGHT: from 1 to 10000",
		"POSTDATE_MAX_IN_FLIGHT=10001":           "POSTDATE_MAX_IN_FLIGHT: from 1 to 10000",
		"POSTDATE_WORKER_SLOTS=0":                "POSTDATE_WORKER_SLOTS: at least 1",
		"POSTDATE_TENANT_BURST_PER_SECOND=-1":    "POSTDATE_TENANT_BURST_PER_SECOND: not negative",
		"POSTDATE_TENANT_RATE_LIMIT=-1":          "POSTDATE_TENANT_RATE_LIMIT: not negative",
		"POSTDATE_TENANT_REQUESTS=-1":            "POSTDATE_TENANT_REQUESTS: not negative",
		"POSTDATE_TENANT_PENDING_MESSAGES=-1":    "POSTDATE_TENANT_PENDING_MESSAGES: not negative",
		"POSTDATE_TENANT_KEPT_MIB=-1":            "POSTDATE_TENANT_KEPT_MIB: not negative",
		"POSTDATE_TENANT_REQUEST_DELIVERIES=-1":  "POSTDATE_TENANT_REQUEST_DELIVERIES: not negative",
		"POSTDATE_TENANT_RESCHEDULES=many":       "POSTDATE_TENANT_RESCHEDULES",
		"POSTDATE_MAX_BACKLOG=10s":               "POSTDATE_MAX_BACKLOG: at least 1m, or 0",
		"POSTDATE_SHUTDOWN_TIMEOUT=soon":         "POSTDATE_SHUTDOWN_TIMEOUT",
		"POSTDATE_RETENTION=1h":                  "POSTDATE_RETENTION: at least 24h",
		"POSTDATE_SQLITE_SYNCHRONOUS=off":        `POSTDATE_SQLITE_SYNCHRONOUS: "full" or "normal"`,
		"POSTDATE_LOG_LEVEL=loud":                "POSTDATE_LOG_LEVEL",
		"POSTDATE_LOG_FORMAT=xml":                `POSTDATE_LOG_FORMAT: "text" or "json"`,
	} {
		_, err := loadConfig([]string{variable})
		require.ErrorContains(t, err, says, variable)
		require.NotContains(t, err.Error(), "\n", variable)
	}
}

// A process with a worker finds out by itself how many of a burst start per second, and one
// without goes by what is set.
func TestTenantBurstPerSecond(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		environ     []string
		with, alone int // in a process with a worker, and in one without
	}{
		{nil, 250, 250},
		{[]string{"POSTDATE_TENANT_BURST_PER_SECOND=2000"}, 250, 2000},
		{[]string{"POSTDATE_TENANT_BURST_PER_SECOND=5000"}, 250, 5000},
		{[]string{"POSTDATE_TENANT_BURST_PER_SECOND=100"}, 100, 100},
		{[]string{"POSTDATE_TENANT_BURST_PER_SECOND=0"}, 0, 0},
	} {
		c, err := loadConfig(test.environ)
		require.NoError(t, err)
		for worker, want := range map[bool]int{true: test.with, false: test.alone} {
			rate, err := burst.New(process{config: c, roles: roles{worker: worker}}.burst())
			require.NoError(t, err)
			require.Equal(t, want, rate.PerSecond(), "%v, with a worker: %v", test.environ, worker)
		}
	}
	c, err := loadConfig(nil)
	require.NoError(t, err)
	require.Equal(t, 5000, c.TenantBurstPerSecond)
}

func TestLoadConfig_NeverRepeatsASecret(t *testing.T) {
	t.Parallel()
	_, err := loadConfig([]string{"POSTDATE_SIGNING_SECRET=whsec_hunter2!", "POSTDATE_ADMIN_KEY=hunter2"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}
