package streams_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/streams"
)

func TestParse_ReadsWhatIsConsumed(t *testing.T) {
	t.Parallel()
	configs, err := streams.Parse(`[
		{"name":"a","url":"kafka://k","topic":"t","consume":{"group":"g","tenant":"acme","dead_letter":"d","share":true}},
		{"name":"b","url":"nats://n","stream":"S","tenants":["*"],"consume":{"consumer":"c","tenant_header":"x-tenant"}},
		{"name":"c","url":"amqp://r","tenants":["acme"],"consume":{"queue":"q","tenant_field":"/tenant"}},
		{"name":"d","url":"kafka://k","topic":"d","tenants":[]}]`)
	require.NoError(t, err)
	sent, consumed := streams.Split(configs)
	require.Len(t, sent, 1)
	require.Len(t, consumed, 3)
	require.True(t, consumed[0].Allows("acme"), "the tenant of all records")
	require.False(t, consumed[0].Allows("globex"))
	require.False(t, sent[0].Allows("acme"))
}

func TestParse_SaysWhatIsWrongWithConsuming(t *testing.T) {
	t.Parallel()
	kafka := `"name":"a","url":"kafka://k","topic":"t"`
	for text, want := range map[string]string{
		`{` + kafka + `,"consume":{"tenant":"acme"}}`:                                                         `consume: group: is missing`,
		`{` + kafka + `,"consume":{"group":"g","queue":"q","tenant":"acme"}}`:                                 `consume: queue: is not for kafka`,
		`{` + kafka + `,"consume":{"group":"g"}}`:                                                             `consume: one of tenant, tenant_header and tenant_field`,
		`{` + kafka + `,"consume":{"group":"g","tenant":"acme","tenant_header":"x"}}`:                         `consume: one of tenant`,
		`{` + kafka + `,"consume":{"group":"g","tenant":"A"}}`:                                                `consume: tenant: a tenant is 1 to 64`,
		`{` + kafka + `,"consume":{"group":"g","tenant":"acme"},"tenants":["*"]}`:                             `tenants: all records are those of consume.tenant`,
		`{` + kafka + `,"consume":{"group":"g","tenant_header":"x"}}`:                                         `tenants: name those that may use it`,
		`{` + kafka + `,"consume":{"group":"g","tenant_field":"x"},"tenants":["*"]}`:                          `consume: tenant_field: a JSON pointer begins with /`,
		`{` + kafka + `,"consume":{"group":"g","tenant":"acme","dead_letter":"b"}}`:                           `consume: dead_letter: there is no stream "b"`,
		`{` + kafka + `,"consume":{"group":"g","tenant":"acme","dead_letter":"a"}}`:                           `consume: dead_letter: "a" is consumed`,
		`{` + kafka + `,"consume":{"group":"g","tenant":"acme","skip":true}}`:                                 `unknown field "skip"`,
		`{"name":"a","url":"nats://n","stream":"S","subject":"s","consume":{"consumer":"c","tenant":"acme"}}`: `are for sending`,
	} {
		_, err := streams.Parse("[" + text + "]")
		require.ErrorContains(t, err, want, text)
	}
}
