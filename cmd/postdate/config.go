package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/codec"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/signature"
)

// config is all that the environment decides, but for Temporal's connection,
// which has Temporal's own variables. docs/configuration.md is made from it.
type config struct {
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080" doc:"Where the API listens. \"worker\" serves its health and metrics there. The flag --http overrides it."`

	AllowedHosts []string `env:"ALLOWED_HOSTS" doc:"Host names under which the API is reached, with commas between. A request for another name is refused with 421. Where none is given, an API that listens on loopback answers to loopback's names alone, and any other one to all."`
	MetricsAddr  string   `env:"METRICS_ADDR" doc:"Where /metrics is served instead of the API's address, for example 127.0.0.1:9090: then only who reaches that address reads it."`

	AdminKey      string `env:"ADMIN_KEY" doc:"The operator's key: at least 16 characters. To rotate it, put the new key before the old one with a comma between: each opens, until the old one is removed. \"dev\" makes one and keeps it under --data. Secret."`
	SigningSecret string `env:"SIGNING_SECRET" doc:"What the default tenant's deliveries to bare urls are signed with, until that secret is first rotated: whsec_ and base64. \"dev\" makes one and keeps it under --data. Secret."`

	EncryptionKeys string `env:"ENCRYPTION_KEYS" doc:"The keys that payloads are encrypted with before they reach Temporal: id:key with commas between, each key 32 bytes in base64. The first encrypts, all decrypt. To rotate, add the new key last everywhere, then move it to the front everywhere; remove the old one only when nothing that it encrypted is kept. \"dev\" makes one and keeps it under --data. Secret."`

	AllowHTTP     bool           `env:"ALLOW_HTTP" envDefault:"false" doc:"Deliver to plain http urls too. \"dev\" always does."`
	AllowNetworks []netip.Prefix `env:"ALLOW_NETWORKS" doc:"Networks that may be delivered to though they are not public, as prefixes with commas between: 10.1.0.0/16,fd00::/8. For loopback see --allow-loopback of \"dev\"."`

	Streams     string `env:"STREAMS" doc:"The topics, subjects and exchanges of brokers that tenants may send to by name, and from which their messages come: a JSON list, or @ and the file that holds it. See streams.md. The same everywhere. Secret."`
	StreamsFile string `env:"STREAMS_FILE" doc:"The file that holds that list, in place of it."`
	streams     []streams.Config

	UIURL string `env:"UI_URL" envDefault:"http://127.0.0.1:8233" doc:"Where people find the Temporal Web UI, for the links in answers. \"dev\" knows its own."`

	DB string `env:"DB" doc:"The PostgreSQL in which \"dev\" keeps the engine's data, as --db, but not to be seen in the list of processes: postgres://user:password@host:port/database. Secret."`

	RateLimit    int           `env:"RATE_LIMIT" envDefault:"100" doc:"How many requests a second each key of a tenant may make of one process, and twice as many at once. 0: as many as it likes. The operator's key is never limited."`
	DisableAfter time.Duration `env:"DISABLE_AFTER" envDefault:"120h" doc:"How long an endpoint may fail before it is disabled: what is due to it is parked then, until it is resumed."`

	TenantBurstPerSecond int `env:"TENANT_BURST_PER_SECOND" envDefault:"5000" doc:"Of what a tenant has due within one second, how many executions are woken then at most (up to a hundred schedules without ids share one), and in each second that follows, so that thousands which are due at one moment do not hold up the other tenants. Up to this bound it is as many as the workers can begin in time: 250 at the start, and what each process with a worker sees from then on. \"api\" has no worker, and wakes 250, or what is set. 0: all of them at once."`
	burstIsSet           bool

	TenantRateLimit   int           `env:"TENANT_RATE_LIMIT" envDefault:"200" doc:"How many requests a second all keys of a tenant together may make of one process, and twice as many at once; all of its sources together may take as many again. 0: no limit but that of each key. The operator's key is never limited."`
	TenantRequests    int           `env:"TENANT_REQUESTS" envDefault:"256" doc:"How many requests a tenant may have under way at once in one process, with its own keys. 0: as many as it likes."`
	TenantPending     int           `env:"TENANT_PENDING_MESSAGES" envDefault:"1000000" doc:"How many messages a tenant may have pending: accepted, and neither delivered nor ended otherwise. Of an event each delivery counts. 0: as many as it likes."`
	TenantKeptMiB     int           `env:"TENANT_KEPT_MIB" envDefault:"10240" doc:"How many mebibytes of pending messages a tenant may keep, as they are estimated. 0: as many as it likes."`
	TenantDeliveries  int           `env:"TENANT_REQUEST_DELIVERIES" envDefault:"10000" doc:"How many deliveries the events of one request may make: their number times that of their subscribers. 0: as many as one request can."`
	TenantReschedules int           `env:"TENANT_RESCHEDULES" envDefault:"1000" doc:"After how many attempts at one message its receiver no longer puts it off, by postdate-reschedule, by less than an hour. 0: it always may. The same everywhere."`
	MaxBacklog        time.Duration `env:"MAX_BACKLOG" envDefault:"15m" doc:"From which age of the oldest task that waits for a worker on what is due now is refused with 503. 0: never."`

	MaxInFlight     int           `env:"MAX_IN_FLIGHT" envDefault:"100" doc:"How many attempts at one endpoint are under way at once where it has no max_in_flight of its own, so that a slow one does not take a worker's slots from the others: 1 to 10000. The same everywhere."`
	WorkerSlots     int           `env:"WORKER_SLOTS" envDefault:"1000" doc:"How many attempts one process makes at once, at all receivers together. No tenant gets so many of them that none are free for another: one alone has at most three quarters. Each needs a file."`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"20s" doc:"How long requests and attempts under way are waited for when the process is told to stop. What is cut off is done again."`

	Retention         time.Duration `env:"RETENTION" envDefault:"168h" doc:"How long the engine of \"dev\" keeps deliveries that are over, at least 24h: so long they can be read, a dead letter retried, and an id is recognised as used."`
	SQLiteSynchronous string        `env:"SQLITE_SYNCHRONOUS" envDefault:"full" doc:"full: what was accepted survives the loss of power. normal: faster, survives the kill of the process, may lose the last moments when power is lost. Only for \"dev\" on SQLite."`

	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error. Each delivery attempt is one line at info, or at warn where it failed."`
	APIURL   string     `env:"API_URL" envDefault:"http://127.0.0.1:8080" doc:"Where \"import\" and \"pull\" find the API. The flag --url overrides it."`
	Key      string     `env:"KEY" doc:"The key that \"import\" and \"pull\" show to the API: a tenant's, or the operator's. Secret."`

	// fromEnvironment: the operator's key was given, not made.
	fromEnvironment bool

	LogFormat logFormat `env:"LOG_FORMAT" envDefault:"text" doc:"text or json."`
}

const prefix = "POSTDATE_"

// loadConfig reads the environment, and says in one line all that is wrong with it.
func loadConfig(environ []string) (config, error) {
	c, err := env.ParseAsWithOptions[config](env.Options{
		Environment: env.ToMap(environ),
		Prefix:      prefix,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[netip.Prefix](): func(v string) (any, error) { return netip.ParsePrefix(strings.TrimSpace(v)) },
		},
	})
	if err != nil {
		return config{}, fmt.Errorf("configuration: %w", oneLine(err))
	}
	c.fromEnvironment = c.AdminKey != ""
	_, c.burstIsSet = env.ToMap(environ)[prefix+"TENANT_BURST_PER_SECOND"]
	if c.streams, err = c.readStreams(); err != nil {
		return config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, c.validate()
}

func (c config) validate() error {
	var wrong []string
	complain := func(name, rule string) { wrong = append(wrong, prefix+name+": "+rule) }
	if c.AdminKey != "" && slices.ContainsFunc(c.adminKeys(), func(key string) bool { return len(key) < 16 }) {
		complain("ADMIN_KEY", "at least 16 characters")
	}
	if c.SigningSecret != "" {
		if _, err := signature.ParseSecret(c.SigningSecret); err != nil {
			complain("SIGNING_SECRET", err.Error())
		}
	}
	if c.EncryptionKeys != "" {
		if _, err := codec.ParseRing(c.EncryptionKeys); err != nil {
			complain("ENCRYPTION_KEYS", err.Error())
		}
	}
	if c.RateLimit < 0 {
		complain("RATE_LIMIT", "not negative")
	}
	if c.DisableAfter < time.Second {
		complain("DISABLE_AFTER", "at least 1s")
	}
	if c.TenantBurstPerSecond < 0 {
		complain("TENANT_BURST_PER_SECOND", "not negative")
	}
	c.validateQuotas(complain)
	if c.MaxInFlight < 1 || c.MaxInFlight > postdate.MaxInFlight {
		complain("MAX_IN_FLIGHT", fmt.Sprintf("from 1 to %d", postdate.MaxInFlight))
	}
	if c.WorkerSlots < 1 {
		complain("WORKER_SLOTS", "at least 1")
	}
	if c.ShutdownTimeout < 0 {
		complain("SHUTDOWN_TIMEOUT", "not negative")
	}
	if c.Retention < 24*time.Hour {
		complain("RETENTION", "at least 24h")
	}
	if c.SQLiteSynchronous != "full" && c.SQLiteSynchronous != "normal" {
		complain("SQLITE_SYNCHRONOUS", `"full" or "normal"`)
	}
	if wrong != nil {
		return errors.New("configuration: " + strings.Join(wrong, "; "))
	}
	return nil
}

// adminKeys are the operator's: several while one is rotated.
func (c config) adminKeys() []string {
	keys := strings.Split(c.AdminKey, ",")
	for i, key := range keys {
		keys[i] = strings.TrimSpace(key)
	}
	return keys
}

// requireSecrets is for the commands that cannot make their own.
func (c config) requireSecrets(adminKey bool) error {
	if adminKey && c.AdminKey == "" {
		return errors.New("configuration: POSTDATE_ADMIN_KEY is not set: choose at least 16 random characters")
	}
	if c.SigningSecret == "" {
		return errors.New("configuration: POSTDATE_SIGNING_SECRET is not set: write whsec_ and 32 random bytes in base64, " +
			`for example "whsec_$(openssl rand -base64 32)"`)
	}
	if c.EncryptionKeys == "" {
		return errors.New("configuration: POSTDATE_ENCRYPTION_KEYS is not set: write an id and 32 random bytes in base64, " +
			`for example "k1:$(openssl rand -base64 32)", and keep it as long as the data`)
	}
	return nil
}

// oneLine makes of the list of errors that the environment's parser answers a
// single line, with the variables by their whole names.
func oneLine(err error) error {
	aggregate, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return err
	}
	lines := make([]string, 0, len(aggregate.Errors))
	for _, each := range aggregate.Errors {
		if parse, ok := errors.AsType[env.ParseError](each); ok {
			if field, ok := reflect.TypeFor[config]().FieldByName(parse.Name); ok {
				each = fmt.Errorf("%s%s: %w", prefix, field.Tag.Get("env"), parse.Err)
			}
		}
		lines = append(lines, each.Error())
	}
	return errors.New(strings.Join(lines, "; "))
}

// logFormat is how log lines are written.
type logFormat string

// UnmarshalText takes the formats there are.
func (f *logFormat) UnmarshalText(text []byte) error {
	if *f = logFormat(text); *f != "text" && *f != "json" {
		return errors.New(`"text" or "json"`)
	}
	return nil
}

func (c config) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
