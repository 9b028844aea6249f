package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
)

// FuzzDecode feeds the codec what anyone who can write to the engine could have
// written there: it must answer, and what it takes for its own it must have made.
func FuzzDecode(f *testing.F) {
	ring := ringOf(f, "a", "b")
	sealed := readRecorded(f) // the same in each of the fuzzer's processes
	f.Add(encoding, "a", sealed.GetData())
	f.Add(encoding, "b", sealed.GetData())
	f.Add(encoding, "", []byte{format})
	f.Add("json/plain", "a", []byte(`"text"`))
	f.Fuzz(func(t *testing.T, name, id string, data []byte) {
		payload := &commonpb.Payload{
			Metadata: map[string][]byte{"encoding": []byte(name), metadataKeyID: []byte(id)},
			Data:     data,
		}
		decoded, err := decode(ring, payload)
		switch {
		case name != encoding:
			require.NoError(t, err)
			require.Same(t, payload, decoded)
		case err != nil:
			require.True(t, isOurs(err), "%v", err)
		default:
			require.Equal(t, "a", id)
			require.Equal(t, sealed.GetData(), data)
		}
	})
}

// FuzzCodec gives the codec payloads of all kinds: each must come back as it was.
func FuzzCodec(f *testing.F) {
	ring := ringOf(f, "a")
	f.Add("json/plain", "", "", []byte(`"text"`))
	f.Add(encoding, metadataKeyID, "a", []byte{format})
	f.Fuzz(func(t *testing.T, name, field, value string, data []byte) {
		payload := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte(name)}, Data: data}
		if _, err := New(ring).Encode([]*commonpb.Payload{{Metadata: map[string][]byte{field: nil}}}); err == nil {
			payload.Metadata[field] = []byte(value) // a name that protobuf takes
		}
		decoded, err := decode(ring, encode(t, ring, payload))
		require.NoError(t, err)
		requireEqual(t, payload, decoded)
	})
}

// FuzzParseRing must neither panic nor repeat what it cannot read.
func FuzzParseRing(f *testing.F) {
	f.Add("a:" + secretOf(1) + ",b:" + secretOf(2))
	f.Add("a:b,c")
	f.Fuzz(func(t *testing.T, text string) {
		ring, err := ParseRing(text)
		if err == nil {
			require.NotNil(t, ring.first())
		}
	})
}
