// Package streams knows the streams that the operator has configured: topics, subjects and
// exchanges of brokers that messages are sent to by name. What speaks to the brokers stands
// in senders.
package streams

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/postdate/postdate"
)

// AllTenants stands for every tenant, among those of a stream.
const AllTenants = "*"

// Config is one stream, as the operator configures it: one that is sent to, or one that is
// consumed.
type Config struct {
	// Name is what tenants call it.
	Name string `json:"name"`
	// URL is the broker's address: its scheme says of which kind it is. Several servers have
	// commas between.
	URL string `json:"url"`
	// Tenants may use it: their names, or "*".
	Tenants []string `json:"tenants"`

	// Topic is Kafka's.
	Topic string `json:"topic"`
	// Subject is what is published to, and Stream the JetStream stream that must store it.
	Subject string `json:"subject"`
	Stream  string `json:"stream"`
	// Exchange and RoutingKey are RabbitMQ's. The exchange "" routes to the queue that the
	// routing key names.
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`

	Username     string          `json:"username"`
	Password     postdate.Secret `json:"password"`
	PasswordFile string          `json:"password_file"`
	// Mechanism is Kafka's way to authenticate: plain, scram-sha-256 or scram-sha-512.
	Mechanism string `json:"mechanism"`
	// Token and CredentialsFile are NATS's other ways.
	Token           postdate.Secret `json:"token"`
	CredentialsFile string          `json:"credentials_file"`
	// TLS, given at all, asks for TLS.
	TLS *TLS `json:"tls"`

	// Consume, given at all, says that messages come from it, and none are sent to it.
	Consume *Consume `json:"consume"`

	// Kind and Servers are read from URL; Servers are "host:port".
	Kind    postdate.StreamKind `json:"-"`
	Servers []string            `json:"-"`
	// VHost is RabbitMQ's, from the path of URL.
	VHost string `json:"-"`
}

// Parse reads the streams that text configures: a JSON list.
func Parse(text string) ([]Config, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var configs []Config
	if err := decoder.Decode(&configs); err != nil {
		return nil, fmt.Errorf("not a JSON list of streams: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a JSON list of streams: something follows it")
	}
	names := make(map[string]bool, len(configs))
	for i := range configs {
		c := &configs[i]
		if err := c.complete(); err != nil {
			return nil, fmt.Errorf("stream %d (%q): %w", i+1, c.Name, err)
		}
		if names[c.Name] {
			return nil, fmt.Errorf("stream %d (%q): another stream has this name", i+1, c.Name)
		}
		names[c.Name] = true
	}
	if err := checkDeadLetters(configs); err != nil {
		return nil, err
	}
	return configs, nil
}

// Allows reports whether that tenant may use the stream.
func (c *Config) Allows(tenant string) bool {
	return slices.Contains(c.Tenants, AllTenants) || slices.Contains(c.Tenants, tenant)
}

// complete checks c, and fills in what its url and files say.
func (c *Config) complete() error {
	if err := postdate.ValidateStreamName("", c.Name); err != nil {
		return err
	}
	if err := c.readURL(); err != nil {
		return err
	}
	if c.Consume != nil {
		if err := c.Consume.complete(c); err != nil {
			return err
		}
	}
	if c.Tenants == nil || slices.Contains(c.Tenants, "") {
		return errors.New(`tenants: name those that may use it, "*" for all, or [] for none`)
	}
	if err := c.checkFields(); err != nil {
		return err
	}
	if c.PasswordFile != "" {
		if c.Password != "" {
			return errors.New("password and password_file exclude each other")
		}
		text, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return fmt.Errorf("password_file: %w", err)
		}
		c.Password = postdate.Secret(bytes.TrimSpace(text))
	}
	if c.CredentialsFile != "" {
		if _, err := os.ReadFile(c.CredentialsFile); err != nil {
			return fmt.Errorf("credentials_file: %w", err)
		}
	}
	if c.TLS != nil {
		return c.TLS.load()
	}
	return nil
}

// schemes are those of each kind, whether they ask for TLS, and the kind's port.
var schemes = map[string]struct {
	kind postdate.StreamKind
	tls  bool
	port string
}{
	"kafka": {postdate.Kafka, false, "9092"},
	"nats":  {postdate.NATS, false, "4222"},
	"tls":   {postdate.NATS, true, "4222"},
	"amqp":  {postdate.RabbitMQ, false, "5672"},
	"amqps": {postdate.RabbitMQ, true, "5671"},
}

// readURL reads the kind, the servers and the credentials out of the url. Its errors hold
// no part of it but the scheme: it may hold a password.
func (c *Config) readURL() error {
	scheme, rest, ok := strings.Cut(c.URL, "://")
	known, supported := schemes[strings.ToLower(scheme)]
	if !ok || !supported {
		return fmt.Errorf("url: the scheme %q is not known: kafka://, nats://, tls://, amqp:// or amqps://", scheme)
	}
	c.Kind = known.kind
	if known.tls && c.TLS == nil {
		c.TLS = &TLS{}
	}
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		authority = authority[at+1:]
		if c.Username != "" || c.Password != "" || c.PasswordFile != "" {
			return errors.New("url: it holds a user, and so do username and password: give one of them")
		}
		var errUser, errPassword error
		c.Username, errUser = url.PathUnescape(user)
		password, errPassword = url.PathUnescape(password)
		if errUser != nil || errPassword != nil {
			return errors.New("url: its user or password is not percent-encoded as it should be")
		}
		c.Password = postdate.Secret(password)
	}
	for server := range strings.SplitSeq(authority, ",") {
		u, err := url.Parse("//" + server)
		if err != nil || u.Hostname() == "" || strings.ContainsAny(server, "?#") {
			return errors.New("url: not a host and port, or several with commas between")
		}
		if u.Port() == "" {
			server += ":" + known.port
		}
		c.Servers = append(c.Servers, server)
	}
	return c.readPath(path)
}

// readPath reads the path of the url: RabbitMQ's virtual host.
func (c *Config) readPath(path string) error {
	switch {
	case c.Kind != postdate.RabbitMQ && path != "":
		return errors.New("url: it has no path: topic, subject or stream are fields of their own")
	case c.Kind == postdate.RabbitMQ && len(c.Servers) > 1:
		return errors.New("url: one server: name the one that stands before a cluster")
	case path == "":
		c.VHost = "/"
		return nil
	}
	var err error
	if c.VHost, err = url.PathUnescape(path); err != nil {
		return errors.New("url: its path is not percent-encoded as it should be")
	}
	return nil
}

// checkFields refuses fields that the kind of c does not have, and wants those that it
// needs.
func (c *Config) checkFields() error {
	for _, field := range []struct {
		name, value string
		kind        postdate.StreamKind
		needed      bool
	}{
		{"topic", c.Topic, postdate.Kafka, true},
		{"mechanism", c.Mechanism, postdate.Kafka, false},
		{"subject", c.Subject, postdate.NATS, c.Consume == nil},
		{"stream", c.Stream, postdate.NATS, true},
		{"token", string(c.Token), postdate.NATS, false},
		{"credentials_file", c.CredentialsFile, postdate.NATS, false},
		{"exchange", c.Exchange, postdate.RabbitMQ, false},
		{"routing_key", c.RoutingKey, postdate.RabbitMQ, false},
	} {
		switch {
		case field.value != "" && field.kind != c.Kind:
			return fmt.Errorf("%s: is not for %s", field.name, c.Kind)
		case field.value == "" && field.needed && field.kind == c.Kind:
			return fmt.Errorf("%s: is missing", field.name)
		}
	}
	switch {
	case c.Kind == postdate.RabbitMQ && c.Consume == nil && c.Exchange == "" && c.RoutingKey == "":
		return errors.New("exchange: is missing; without one, routing_key names a queue")
	case c.Kind == postdate.NATS && strings.ContainsAny(c.Subject, "*> \t"):
		return errors.New("subject: has no wildcards and no white space")
	case c.Mechanism != "" && !slices.Contains([]string{"plain", "scram-sha-256", "scram-sha-512"}, c.Mechanism):
		return errors.New(`mechanism: "plain", "scram-sha-256" or "scram-sha-512"`)
	case c.Mechanism != "" && c.Username == "":
		return errors.New("username: is missing")
	}
	return nil
}
