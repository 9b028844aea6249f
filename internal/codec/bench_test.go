package codec

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
)

func BenchmarkCodec(b *testing.B) {
	ring := ringOf(b, "b", "a")
	codec := New(ring)
	for _, size := range []int{100, 1 << 10, 16 << 10, 256 << 10} {
		plain := []*commonpb.Payload{payloadOf(b, make([]byte, size))}
		sealed, err := codec.Encode(plain)
		require.NoError(b, err)
		for name, work := range map[string]func() error{
			"encode": func() error { _, err := codec.Encode(plain); return err },
			"decode": func() error { _, err := codec.Decode(sealed); return err },
			"pass":   func() error { _, err := codec.Decode(plain); return err },
		} {
			b.Run(fmt.Sprintf("%s/%dB", name, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					if err := work(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
