package streams

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postdate/postdate"
)

// Consume says that events and schedules come from a stream, and how.
type Consume struct {
	// Group is Kafka's consumer group, Consumer JetStream's durable consumer, and Queue
	// RabbitMQ's queue.
	Group    string `json:"group"`
	Consumer string `json:"consumer"`
	Queue    string `json:"queue"`
	// Tenant is whose all records are. TenantHeader is a header, and TenantField a JSON
	// pointer into the record, that names one of the stream's tenants.
	Tenant       string `json:"tenant"`
	TenantHeader string `json:"tenant_header"`
	TenantField  string `json:"tenant_field"`
	// DeadLetter is the name of the stream that gets what cannot be taken. Empty: that stops
	// what comes behind it.
	DeadLetter string `json:"dead_letter"`
	// Share: CloudEvents share executions. Each is known by its place in the stream alone.
	Share bool `json:"share"`
}

// complete checks how a stream is consumed.
func (c *Consume) complete(of *Config) error {
	for _, field := range []struct {
		name, value string
		kind        postdate.StreamKind
	}{
		{"group", c.Group, postdate.Kafka},
		{"consumer", c.Consumer, postdate.NATS},
		{"queue", c.Queue, postdate.RabbitMQ},
	} {
		switch {
		case field.value == "" && field.kind == of.Kind:
			return fmt.Errorf("consume: %s: is missing", field.name)
		case field.value != "" && field.kind != of.Kind:
			return fmt.Errorf("consume: %s: is not for %s", field.name, of.Kind)
		}
	}
	named := 0
	for _, value := range []string{c.Tenant, c.TenantHeader, c.TenantField} {
		if value != "" {
			named++
		}
	}
	switch {
	case named != 1:
		return errors.New("consume: one of tenant, tenant_header and tenant_field says whose the records are")
	case c.Tenant != "" && postdate.ValidateTenant(c.Tenant) != nil:
		return fmt.Errorf("consume: tenant: %w", postdate.ValidateTenant(c.Tenant))
	case c.Tenant != "" && len(of.Tenants) > 0:
		return errors.New("tenants: all records are those of consume.tenant: leave it out")
	case c.TenantField != "" && !strings.HasPrefix(c.TenantField, "/"):
		return errors.New("consume: tenant_field: a JSON pointer begins with /")
	case of.Exchange != "" || of.RoutingKey != "" || of.Subject != "":
		return errors.New("exchange, routing_key and subject are for sending, and nothing is sent to a stream that is consumed")
	}
	if c.Tenant != "" {
		of.Tenants = []string{c.Tenant}
	}
	return nil
}

// checkDeadLetters checks that what cannot be taken has somewhere to go.
func checkDeadLetters(configs []Config) error {
	byName := make(map[string]*Config, len(configs))
	for i := range configs {
		byName[configs[i].Name] = &configs[i]
	}
	for i, c := range configs {
		if c.Consume == nil || c.Consume.DeadLetter == "" {
			continue
		}
		to := byName[c.Consume.DeadLetter]
		switch {
		case to == nil:
			return fmt.Errorf("stream %d (%q): consume: dead_letter: there is no stream %q in this list", i+1, c.Name, c.Consume.DeadLetter)
		case to.Consume != nil:
			return fmt.Errorf("stream %d (%q): consume: dead_letter: %q is consumed, and cannot be sent to", i+1, c.Name, to.Name)
		}
	}
	return nil
}

// Split divides the streams into those that are sent to and those that are consumed.
func Split(configs []Config) (sent, consumed []Config) {
	for _, c := range configs {
		if c.Consume == nil {
			sent = append(sent, c)
		} else {
			consumed = append(consumed, c)
		}
	}
	return sent, consumed
}
