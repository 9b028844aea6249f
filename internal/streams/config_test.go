package streams_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/streams"
)

func TestParse_ReadsEachKind(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("from a file\n"), 0o600))
	configs, err := streams.Parse(`[
		{"name":"a","url":"kafka://k1,k2:9093","topic":"t","tenants":["acme"],"username":"u","password_file":"` + file + `","mechanism":"scram-sha-512"},
		{"name":"b","url":"tls://n1","stream":"S","subject":"s.due","tenants":["*"],"token":"x"},
		{"name":"c","url":"amqp://u:p%40ss@r1/a%2Fb","exchange":"e","tenants":["*"]},
		{"name":"d","url":"amqps://r1","routing_key":"q","tenants":["*"],"tls":{"server_name":"rabbit"}}]`)
	require.NoError(t, err)
	require.Equal(t, []string{"k1:9092", "k2:9093"}, configs[0].Servers)
	require.Equal(t, "from a file", configs[0].Password.Reveal())
	require.Equal(t, postdate.NATS, configs[1].Kind)
	require.NotNil(t, configs[1].TLS.Config())
	require.Equal(t, "a/b", configs[2].VHost)
	require.Equal(t, "p@ss", configs[2].Password.Reveal())
	require.Nil(t, configs[2].TLS.Config())
	require.Equal(t, "rabbit", configs[3].TLS.Config().ServerName)
	require.Equal(t, []string{"r1:5671"}, configs[3].Servers)
	require.True(t, configs[0].Allows("acme"))
	require.False(t, configs[0].Allows("globex"))
	require.True(t, configs[1].Allows("globex"))
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:             `not a JSON list of streams: json: cannot unmarshal object`,
		`[] []`:          `not a JSON list of streams: something follows it`,
		`[{"nom":"a"}]`:  `unknown field "nom"`,
		`[{"name":"A"}]`: `a stream's name has 1 to 64`,
		`[{"name":"a","url":"kafka://k","topic":"t"}]`:                                                                            `tenants: name those that may use it`,
		`[{"name":"a","tenants":["*"],"url":"redis://:s3cret@k"}]`:                                                                `url: the scheme "redis" is not known`,
		`[{"name":"a","tenants":["*"],"url":"kafka://k"}]`:                                                                        `topic: is missing`,
		`[{"name":"a","tenants":["*"],"url":"kafka://","topic":"t"}]`:                                                             `url: not a host and port`,
		`[{"name":"a","tenants":["*"],"url":"kafka://k/topic","topic":"t"}]`:                                                      `url: it has no path`,
		`[{"name":"a","tenants":["*"],"url":"kafka://k","topic":"t","exchange":"e"}]`:                                             `exchange: is not for kafka`,
		`[{"name":"a","tenants":["*"],"url":"kafka://k","topic":"t","mechanism":"gssapi","username":"u"}]`:                        `mechanism: "plain"`,
		`[{"name":"a","tenants":["*"],"url":"nats://n","stream":"S","subject":"s.>"}]`:                                            `subject: has no wildcards`,
		`[{"name":"a","tenants":["*"],"url":"amqp://r"}]`:                                                                         `exchange: is missing`,
		`[{"name":"a","tenants":["*"],"url":"kafka://u:s3cret@k","topic":"t","username":"u"}]`:                                    `url: it holds a user`,
		`[{"name":"a","tenants":["*"],"url":"kafka://k","topic":"t","password_file":"/nowhere"}]`:                                 `password_file: open /nowhere`,
		`[{"name":"a","tenants":["*"],"url":"kafka://k","topic":"t","tls":{"ca_file":"/nowhere"}}]`:                               `tls: ca_file: open /nowhere`,
		`[{"name":"a","tenants":["*"],"url":"kafka://k","topic":"t"},{"name":"a","tenants":["*"],"url":"kafka://k","topic":"t"}]`: `stream 2 ("a"): another stream has this name`,
	} {
		_, err := streams.Parse(text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "s3cret")
	}
}
