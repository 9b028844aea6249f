package codec

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

func TestCodec_CompressesWhatIsLargeAndAlike(t *testing.T) {
	t.Parallel()
	c := New(ringOf(t, "a"))
	noise := make([]byte, 20<<10)
	_, _ = rand.Read(noise)
	for name, test := range map[string]struct {
		data    []byte
		smaller bool
	}{
		"small":  {bytes.Repeat([]byte("alike "), 100), false},
		"large":  {bytes.Repeat([]byte(`{"type":"payment_request.due","entity":"customer"},`), 400), true},
		"noise":  {noise, false},
		"nought": {nil, false},
	} {
		payload := &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte("json/plain")}, Data: test.data}
		original := proto.Clone(payload)
		encoded, err := c.Encode([]*commonpb.Payload{payload})
		require.NoError(t, err, name)
		require.True(t, proto.Equal(original, payload), "%s: what was given stays", name)
		if test.smaller {
			require.Less(t, len(encoded[0].GetData()), len(test.data)/4, name)
		} else {
			require.Greater(t, len(encoded[0].GetData()), len(test.data), name)
		}
		decoded, err := c.Decode(encoded)
		require.NoError(t, err, name)
		require.True(t, proto.Equal(original, decoded[0]), name)
	}
}
