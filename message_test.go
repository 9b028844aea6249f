package postdate_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestMessage_CarriesWhateverItsDataIs(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	for name, data := range map[string]string{
		"object": `{"b":1,"a":1.0}`, "string": `"aGVsbG8="`, "too deep": deep, "no JSON": "\xff{]\x00", "null": "null",
	} {
		text, err := json.Marshal([]postdate.Message{{ID: "first", Data: []byte(data)}, {ID: "second"}})
		require.NoError(t, err, name)
		var read []postdate.Message
		require.NoError(t, json.Unmarshal(text, &read), name)
		assert.Equal(t, data, string(read[0].Data), name)
		assert.Equal(t, postdate.Message{ID: "second"}, read[1], name)

		text, err = json.Marshal(postdate.Change{Data: []byte(data)})
		require.NoError(t, err, name)
		var change postdate.Change
		require.NoError(t, json.Unmarshal(text, &change), name)
		assert.Equal(t, data, string(change.Data), name)
	}
}

func TestMessage_ReadsDataThatWasRecordedAsANestedValue(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{"b":1,"a":1.0}`, `"aGVsbG8="`, `null`, `[[1]]`} {
		var message postdate.Message
		require.NoError(t, json.Unmarshal([]byte(`{"id":"x","data":`+data+`}`), &message))
		assert.Equal(t, postdate.Message{ID: "x", Data: []byte(data)}, message)
		var change postdate.Change
		require.NoError(t, json.Unmarshal([]byte(`{"data":`+data+`}`), &change))
		assert.Equal(t, postdate.Change{Data: []byte(data)}, change)
	}
}
