package codec_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/codec"
)

func TestDataConverter_KeepsRawJSONByteForByte(t *testing.T) {
	t.Parallel()
	type message struct {
		Data json.RawMessage `json:"data"`
	}
	ring, err := codec.ParseRing(codec.Generate())
	require.NoError(t, err)
	data := codec.NewDataConverter(ring)
	const text = `{"html":"<a href='?a&b'>","b":12345678901234567890,"a":1e400,"a":2,"line":"` + "\u2028" + `"}`
	payload, err := data.ToPayload(message{Data: json.RawMessage(text)})
	require.NoError(t, err)
	var got message
	require.NoError(t, data.FromPayload(payload, &got))
	require.Equal(t, text, string(got.Data))
}
