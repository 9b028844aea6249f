package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// secretOf is a key that is nothing but b, 32 times, in base64.
func secretOf(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, keySize))
}

// ringOf is a ring of keys that differ by their ids, each of which is a letter.
func ringOf(tb testing.TB, ids ...string) *Ring {
	tb.Helper()
	entries := make([]string, len(ids))
	for i, id := range ids {
		entries[i] = id + ":" + secretOf(id[0])
	}
	ring, err := ParseRing(strings.Join(entries, ","))
	require.NoError(tb, err)
	return ring
}

func TestParseRing_FirstEncryptsAndWhiteSpaceIsIgnored(t *testing.T) {
	t.Parallel()
	ring, err := ParseRing(" new-2:" + secretOf(2) + " ,\n\told_1:" + secretOf(1) + "\n")
	require.NoError(t, err)
	require.Equal(t, "new-2", ring.first().id)
	require.NotNil(t, ring.find("old_1"))
	require.Nil(t, ring.find("other"))
}

func TestParseRing_NamesThePlaceAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	good := "a:" + secretOf(1)
	for text, says := range map[string]string{
		"":                                   "no encryption key",
		"\t":                                 "no encryption key",
		secretOf(7):                          "key 1: write id:key",
		good + ",":                           "key 2: write id:key",
		good + ",hunter2":                    "key 2: write id:key",
		good + "," + secretOf(7) + ":hunter": "key 2: write id:key",
		"hunter 2:" + secretOf(7):            "key 1: write id:key",
		strings.Repeat("x", 33) + ":" + secretOf(7): "key 1: write id:key",
		good + ",a:" + secretOf(7):                  "key 2: its id is an earlier key's",
		"hunter2:":                                  "key 1: after the id",
		"a:hunter2":                                 "key 1: after the id",
		"a:" + secretOf(7) + "BwcH":                 "key 1: after the id",
		"a:" + base64.StdEncoding.EncodeToString([]byte("hunter2 of 24 bytes long")): "key 1: after the id",
		"a:" + base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)):     "key 1: after the id",
	} {
		_, err := ParseRing(text)
		require.ErrorContains(t, err, says, text)
		require.NotContains(t, err.Error(), "hunter", text)
		require.NotContains(t, err.Error(), secretOf(7)[:8], text)
	}
}

func TestGenerate_MakesARingOfOneNewKey(t *testing.T) {
	t.Parallel()
	first, second := Generate(), Generate()
	require.NotEqual(t, first, second)
	ring, err := ParseRing(first + "," + second)
	require.NoError(t, err)
	require.Len(t, ring.keys, 2)
}

func TestRing_NeverShowsItsKeys(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, "b", "a")
	const shown = "codec.Ring(b, a)"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%o", "%T%v"} {
		require.NotRegexp(t, `98|62|0x`, strings.TrimPrefix(fmt.Sprintf(verb, ring), "*codec.Ring"), verb)
	}
	require.Equal(t, shown, fmt.Sprintf("%+v", ring))
	require.Equal(t, shown, ring.String())

	encoded, err := json.Marshal(map[string]any{"ring": ring})
	require.NoError(t, err)
	require.JSONEq(t, `{"ring":"`+shown+`"}`, string(encoded))

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("started", "ring", ring)
	slog.New(slog.NewTextHandler(&log, nil)).Info("started", "ring", ring)
	require.Equal(t, 2, strings.Count(log.String(), shown))

	// As a field that fmt cannot ask, it is an address.
	require.NotRegexp(t, `98 98|97 97|62626262|0x62, 0x62`, fmt.Sprintf("%+v %#[1]v", struct{ ring *Ring }{ring}))
	var none *Ring
	require.Equal(t, "codec.Ring(none)", none.String())
}
